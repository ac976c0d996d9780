"""What others wrote is harmless on a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from mom_council.runs.words import in_a_row, inert, one_line


@given(st.text())
def test_no_control_character_is_left_but_line_feeds_and_tabs(text: str) -> None:
    left = {c for c in inert(text) if ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F}
    assert left <= {"\n", "\t"}


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cf", "Zl", "Zp", "Cs"))))
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    assert inert(text) == text


def test_an_escape_can_be_seen_and_does_nothing() -> None:
    assert inert("\x1b[31mred\x07\x7f\x9b") == "␛[31mred␇␡\ufffd"


def test_line_ends_of_other_systems_are_line_ends_and_a_bare_return_is_not() -> None:
    assert inert("one\r\ntwo\u2028three\rfour") == "one\ntwo\nthree␍four"


def test_text_cannot_be_turned_around() -> None:
    assert inert("safe\u202eexe.txt\u2066") == "safeexe.txt"


def test_a_line_is_cut_to_what_is_asked_for() -> None:
    assert one_line("a  b\nc") == "a b c"
    assert one_line("abcdef", 4) == "abc…"
    assert one_line("abcd", 4) == "abcd"


def test_several_complaints_on_one_line_are_kept_apart() -> None:
    assert in_a_row("file: a is missing\nb: must be 1\n\nread:\n c ") == (
        "file: a is missing; b: must be 1; read: c"
    )
    assert in_a_row("") == ""
