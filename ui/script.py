"""What Streamlit runs at each touch of the page; `streamlit_app.py` puts it behind the gate."""

from mom_council.ui.frame import show

show()
