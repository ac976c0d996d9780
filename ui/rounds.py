"""The course of a deliberation: rounds as a timeline, ballots as bars, the verdict in words."""

from __future__ import annotations

import streamlit as st

from mom_council.councils.records import Ballot, Verdict
from mom_council.councils.schema import Council
from mom_council.graph.follow import RoundView, RunView
from mom_council.ui import safe, words

_LONGEST_REASON = 160


def draw_timeline(view: RunView, *, live: bool) -> None:
    """The rounds so far, one step after another, and what is going on now."""
    steps = [_step(one, view, live=live) for one in view.rounds]
    if live and view.status is None and not view.rounds:
        steps.append(("The council is listening", True))
    writing = view.voices.get("synthesizer:synthesizer:0")
    if writing is not None or view.status is not None:
        now = live and view.status is None
        steps.append(("Writing the answer" if now else "Answered", now))
    chips = "".join(
        f'<span class="mom-step{" mom-now" if now else ""}">{safe.plain(text)}</span>'
        for text, now in steps
    )
    st.html(f'<div class="mom-steps">{chips}</div>')


def draw_votes(a_round: RoundView, council: Council | None) -> None:
    """The ballots of a round, its count, and the verdict in a sentence."""
    counted = a_round.counted
    if a_round.ballots or a_round.unvoted:
        st.html(_ballots(a_round))
    elif a_round.voters and counted is None:
        st.caption(f"{len(a_round.voters)} are voting …")
    if counted is None:
        return
    if counted.verdict.options and counted.verdict.leader:
        threshold = council.deliberation.threshold if council is not None else None
        st.html(bars(counted.verdict, threshold))
    draw_verdict(a_round)


def draw_verdict(a_round: RoundView, *, named: bool = False) -> None:
    """The verdict of a round in a sentence; `named` with the round's number before it."""
    if a_round.counted is None or not a_round.counted.why:
        return
    why = a_round.counted.why
    title = f"Round {a_round.number}" if named else "Verdict"
    st.markdown(f"**{title}:** {safe.inline(why[:1].upper() + why[1:])}.")


def bars(verdict: Verdict, threshold: float | None) -> str:
    """The options and their shares as bars, with the threshold as a line across them."""
    line = ""
    if threshold is not None:
        line = f'<i style="left:{threshold:.1%}" title="threshold {threshold:.0%}"></i>'
    rows = []
    for option in verdict.options[:12]:
        who = ", ".join(option.members)
        told = f"{option.answer[:60]} ({who})" if option.answer else who
        width = f'<b style="width:{min(option.share, 1):.1%}"></b>'
        rows.append(
            f"<tr><td>{safe.plain(told)}</td><td class='mom-bar'><div>{width}{line}</div></td>"
            f"<td>{option.share:.0%}</td></tr>"
        )
    head = f"threshold {threshold:.0%}" if threshold is not None else ""
    return (
        f'<table class="mom-table"><caption>{safe.plain(verdict.method)} · {head}</caption>'
        f"{''.join(rows)}</table>"
    )


def _ballots(a_round: RoundView) -> str:
    rows = [_ballot(vote) for vote in a_round.ballots]
    rows += [
        f"<tr><td>{safe.plain(one.character)}</td><td class='mom-absent'>"
        f"{safe.plain(words.REASONS[one.reason])}</td><td></td></tr>"
        for one in a_round.unvoted
    ]
    head = "<tr><th>voter</th><th>votes for</th><th>because</th></tr>"
    return f'<table class="mom-table">{head}{"".join(rows)}</table>'


def _ballot(vote: Ballot) -> str:
    reason = " ".join((vote.reason or vote.unread).split())
    short = reason[:_LONGEST_REASON] + ("…" if len(reason) > _LONGEST_REASON else "")
    return (
        f"<tr><td>{safe.plain(vote.voter)}</td><td><b>{safe.plain(words.ballot(vote))}</b></td>"
        f"<td>{safe.plain(short)}</td></tr>"
    )


def _step(one: RoundView, view: RunView, *, live: bool) -> tuple[str, bool]:
    told = f"Round {one.number} of {view.most_rounds}"
    if one.counted is not None:
        verdict = one.counted.verdict
        if verdict.leader and verdict.share:
            told += f": {verdict.leader} leads, {verdict.share:.0%}"
        return told, False
    if not live or one is not view.rounds[-1]:
        return told, False
    if one.voters:
        return f"{told}: voting, {len(one.ballots) + len(one.unvoted)} of {len(one.voters)}", True
    done = sum(seat.state in ("done", "absent") for seat in one.seats.values())
    return f"{told}: speaking, {done} of {len(one.seats)} done", True
