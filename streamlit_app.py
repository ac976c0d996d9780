"""The chat page: `mom ui`, or `streamlit run streamlit_app.py`. Its parts are in ui/."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from starlette.middleware import Middleware
from streamlit.starlette import App

# Streamlit puts this folder on the path, where our `graph` and `models` would hide other packages'.
_HERE = Path(__file__).resolve().parent
sys.path[:] = [place for place in sys.path if Path(place).resolve() != _HERE]

from mom_council.ui.gate import TOKEN, Gate  # noqa: E402

app = App(
    _HERE / "ui" / "pages" / "script.py",
    middleware=[Middleware(Gate, token=os.environ.get(TOKEN, ""))],
)
