"""Text that nobody has read, made fit to be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council.ui.safe import inline, markdown, plain


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("![x](http://a.example/p.png)", "&#33;[x](http://a.example/p.png)"),
        ("\\![x](http://a.example/p.png)", "\\&#33;[x](http://a.example/p.png)"),
        ("It costs $5 or $6.", "It costs \\$5 or \\$6."),
        ("So $x^2$ it is.", "So $x^2$ it is."),
        (r"So \(x^2\) it is.", "So $x^2$ it is."),
        (":red[loud]", "\\:red[loud]"),
        (":material/delete: :streamlit:", ":\u2060material/delete: :\u2060streamlit:"),
        ("`:material/delete:`", "`:material/delete:`"),
        ("at 10:30", "at 10:30"),
        ("a\u202eb\x00c\u2066d", "abcd"),
        ("`vec![1]` and ![x](y)", "`vec![1]` and &#33;[x](y)"),
        ("```rust\nvec![1]\n```", "```rust\nvec![1]\n```"),
        ("```\nopen ![x](y)", "```\nopen ![x](y)\n```"),
        ("שלום \u200d عالم", "שלום \u200d عالم"),
    ],
)
def test_prose_is_calmed_and_code_is_left_alone(written: str, shown: str) -> None:
    assert markdown(written) == shown


def test_a_name_is_no_icon() -> None:
    assert ":material" not in inline("Ada :material/delete:").replace("\\", "")


def test_a_shorter_fence_does_not_close_a_longer_one() -> None:
    assert markdown("````\n```\n![x](y)\n````\n![x](y)").endswith("![x](y)\n````\n&#33;[x](y)")


def test_an_endless_text_is_cut_and_says_so() -> None:
    shown = markdown("a" * 100_000)
    assert len(shown) < 61_000
    assert "40,000 more characters" in shown


@given(st.text())
def test_outside_of_code_no_image_is_left(text: str) -> None:
    assert "![" not in markdown(text.replace("`", "").replace("~", ""))


@given(st.text())
def test_html_of_ours_holds_no_tag_of_others(text: str) -> None:
    assert "<" not in plain(text)
    assert "\n" not in inline(text)
