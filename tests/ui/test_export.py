"""The file that a reader takes along: readable on its own, whatever was said and whoever failed."""

from __future__ import annotations

from mom_council.records import Absence, Ballot, Status
from mom_council.tests.ui.test_panel_rows import a_run
from mom_council.ui.history import debate_in_markdown


def test_everything_that_was_said_and_voted_is_in_the_file() -> None:
    view = a_run()
    view.rounds[1].ballots = [Ballot(voter="Boris", choice="Ada", reason="It is\ncheaper.")]
    view.rounds[1].unvoted = [Absence(character="Clara", reason="timeout", stage="vote")]
    view.status = Status(council="desk", spoke=("Ada", "Boris", "Clara"), rounds=2)
    lines = debate_in_markdown("Which?", "**Tune.**", view).splitlines()
    assert lines[:3] == ["# Which?", "", "**Tune.**"]
    rounds = [line for line in lines if line.startswith("## ")]
    assert rounds == ["## Round 1", "## Round 2"]
    members = [line for line in lines if line.startswith("### ")]
    assert members == [*["### Ada (m)", "### Boris (m)", "### Clara (m)"] * 2, "### Ballots"]
    assert "- **Boris** → Ada: It is cheaper." in lines
    assert any(line.startswith("- Clara") for line in lines)
    assert lines.count("Answer: tune") == 3
    assert lines[-1] == "Answered by the council “desk” with Mixture of Models."


def test_a_long_question_stands_below_a_heading_as_it_was_asked() -> None:
    question = "Which is better?\n\n- one\n- two"
    text = debate_in_markdown(question, "Two.", a_run())
    assert text.startswith(f"# A question to the council\n\n{question}\n\n## Answer\n\nTwo.\n\n")
