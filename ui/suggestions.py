"""The empty page: who is here, and questions to begin with."""

from __future__ import annotations

import streamlit as st

from mom_council.councils.schema import Council
from mom_council.ui import actions, floorplan, safe

SMALL = (
    "What is 17 + 25?",
    "Which of 52 and 66 is larger?",
    "What kind of thing is a shark?",
    "Does a perch lay eggs?",
)
"""What models of a megabyte know."""
LARGE = (
    "Is it better to rent or to buy a home?",
    "A bat and a ball cost 1.10 together, the bat 1 more than the ball. What costs the ball?",
    "Write the regular expression for an ISO date, and say what it does not catch.",
    "What is the strongest argument against your own first answer to: should cities ban cars?",
)


def draw_suggestions(council: Council) -> None:
    """A word of welcome, the council's graph, and suggested questions."""
    st.title("Ask the council")
    names = ", ".join(safe.inline(one.name) for one in council.characters[:8])
    more = len(council.characters) - 8
    who = names + (f" and {more} more" if more > 0 else "")
    st.markdown(f"**{safe.inline(council.name)}**: {who}. They answer, vote, and write one answer.")
    if council.description:
        st.caption(safe.inline(council.description))
    floorplan.draw_plan(council)
    small = {model.model for model in council.models.values()} <= {"tiny-1", "tiny-2", "tiny-3"}
    for number, question in enumerate(SMALL if small else LARGE):
        st.button(
            question,
            key=f"suggestion-{number}",
            on_click=actions.ask,
            args=(question,),
            icon=":material/north_east:",
            width="stretch",
        )
