"""The chat page: `mom ui`, or `streamlit run streamlit_app.py`. Its parts are in ui/."""

from __future__ import annotations

import sys
from pathlib import Path

# Streamlit puts this folder on the path, where our `graph` and `models` would hide other packages'.
_HERE = str(Path(__file__).resolve().parent)
sys.path[:] = [place for place in sys.path if str(Path(place).resolve()) != _HERE]

from mom_council.ui.frame import show  # noqa: E402

show()
