"""What Streamlit runs at each touch of the page; `streamlit_app.py` puts it behind the gate.

It stands among the pages, since Streamlit takes a folder `pages` beside its script for pages of
its own, and then draws those, empty, in place of ours.
"""

from mom_council.ui.frame import show

show()
