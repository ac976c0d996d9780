"""No key leaves in a trace, wherever in a tree it lies."""

from __future__ import annotations

import pytest

from mom_council.tracing.redaction import HIDDEN, redact_tree


def test_keys_are_taken_out_of_every_corner_of_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_API_KEY", "purple-elephant-9")
    tree = {
        "purple-elephant-9": ["say purple-elephant-9", ("x", {"deep": "purple-elephant-9!"})],
        "header": "Bearer abcdefghijklmnop",
        "vendor": "sk-proj-abcdefghijklmnop and hf_abcdefghijklmnop and lsv2_pt_abcdefghijkl",
        "count": 3,
        "nothing": None,
    }
    told = redact_tree(tree)
    assert "elephant" not in str(told)
    assert "abcdefgh" not in str(told)
    assert told[HIDDEN][0] == f"say {HIDDEN}"
    assert (told["count"], told["nothing"]) == (3, None)


def test_a_variable_that_a_council_names_is_secret_whatever_it_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAR_PASS_PHRASE", "purple-elephant-9")
    assert redact_tree(["purple-elephant-9"]) == ["purple-elephant-9"]
    assert redact_tree(["purple-elephant-9"], ("FAR_PASS_PHRASE",)) == [HIDDEN]


def test_a_short_value_is_no_key_and_garbles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_API_KEY", "none")
    assert redact_tree({"a": "none of them"}, ("LOCAL_API_KEY",)) == {"a": "none of them"}


def test_a_tree_that_holds_itself_ends() -> None:
    tree: list[object] = ["x"]
    tree.append(tree)
    assert "..." in str(redact_tree(tree))
