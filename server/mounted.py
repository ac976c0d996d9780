"""The endpoint as a part of LangGraph's own server: `http.app` in langgraph.json names `app`.

It offers the council that MOM_COUNCIL names, or the offline demo, and the presets. Threads are that
server's own affair there, and keys are MOM_SERVER_KEYS as ever.
"""

from __future__ import annotations

import os

from mom_council.councils.trust import load_trusted_council
from mom_council.graph.served import served_councils
from mom_council.server.app import make_app
from mom_council.server.catalogue import Catalogue
from mom_council.server.limits import VARIABLE, read_limits
from mom_council.server.state import Keys, ServerSettings, ServerState

_keys = Keys.from_environment()
served_councils()  # while the server starts, and not at its first question

app = make_app(
    ServerState(
        Catalogue([load_trusted_council(os.environ.get("MOM_COUNCIL") or "demo")], saved=None),
        _keys,
        ServerSettings(
            threads=False,
            candid=not _keys,
            limits=read_limits(os.environ.get(VARIABLE, "").split(), _keys.names),
        ),
    ),
    mounted=True,
)
