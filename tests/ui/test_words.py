"""What the page says of things, in a few words."""

from __future__ import annotations

from mom_council.deliberation.events import Called, Returned, Speaker
from mom_council.ui import words

ADA = Speaker(node="character", name="Ada")


def test_a_tool_is_named_while_it_is_called_and_when_it_has_returned() -> None:
    called = Called(speaker=ADA, id="1", tool="add", arguments='{"a": 1}')
    assert words.call(called) == "calling add …"
    held = called.model_copy(update={"needs_approval": True})
    assert words.call(held) == "waits for a person's yes: add"
    came = Returned(speaker=ADA, id="1", tool="add", text="the\nsum is 3")
    assert words.call(came) == "add: the sum is 3"
    assert words.call(came.model_copy(update={"failed": True})) == "add: failed: the sum is 3"
    assert words.call(came.model_copy(update={"text": "x" * 300})) == f"add: {'x' * 200}…"
