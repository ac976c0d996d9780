"""Reading answers: what a reply says, as a typed value, and when two are the same."""

from __future__ import annotations

from mom_council.voting.reading.answer import Answer, AnswerType, are_same, group_equal, may_be_same
from mom_council.voting.reading.options import compared_numbers, find_options
from mom_council.voting.reading.reader import read_answer, same_answer, stated_confidence
from mom_council.voting.reading.text import is_refusal, json_values, plain_text, visible_text
from mom_council.voting.reading.values import read_value

__all__ = [
    "Answer",
    "AnswerType",
    "are_same",
    "compared_numbers",
    "find_options",
    "group_equal",
    "is_refusal",
    "json_values",
    "may_be_same",
    "plain_text",
    "read_answer",
    "read_value",
    "same_answer",
    "stated_confidence",
    "visible_text",
]
