"""Multiple choice: right by its letter, or by the words of the option."""

from __future__ import annotations

import re

from mom_council.evals.cases import LETTERS, Case
from mom_council.evals.scorers.exact import wanted
from mom_council.evals.scorers.mark import Mark
from mom_council.voting.answers import canonical
from mom_council.voting.replies import plain


def score(text: str, case: Case) -> Mark:
    """Right where the letter that was chosen is the gold one."""
    options = case.options or ()
    gold = letter_of(str(case.gold), options)
    chosen = chosen_in(text, options)
    if gold is None:
        return Mark(ok=False, answer=chosen, note="the gold answer is none of the options")
    return Mark(ok=chosen == gold, answer=chosen, note="" if chosen else "nothing was chosen")


def chosen_in(text: str, options: tuple[str, ...]) -> str | None:
    """The letter of the option that an answer chooses."""
    answer = canonical(text, kind="closed")
    if answer is not None and (letter := letter_of(answer, options)):
        return letter
    # "C. Paris": a letter and its words, as the option was shown.
    ending = plain(text).rpartition("\n")[2]
    found = re.fullmatch(r"\W*(?:answer\s*:?\s*)?\W*([A-Z])[.):]\s+.*", ending, re.IGNORECASE)
    return letter_of(found[1], options) if found else None


def letter_of(said: str, options: tuple[str, ...]) -> str | None:
    """The letter that a letter, or the words of one option alone, stand for."""
    bare = said.strip().strip("().").upper()
    if len(bare) == 1 and bare in LETTERS[: len(options)]:
        return bare
    same = [
        letter
        for letter, option in zip(LETTERS, options, strict=False)
        if _even(option) == _even(said) or ((form := wanted(option)) is not None and form == said)
    ]
    return same[0] if len(same) == 1 else None


def _even(text: str) -> str:
    return " ".join(text.split()).strip(" .").casefold()
