"""The council of docs/tools.md: it loads, it is refused without leave, and with it it runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mom_council.councils.loader import load_council
from mom_council.errors import CouncilError
from mom_council.graph.council import build_graph, council
from mom_council.models.clients import close_loop_resources
from mom_council.tests.graph.desk import question
from mom_council.tests.stage import Reply, Stage

PAGE = Path(__file__).parents[3] / "docs" / "tools.md"

SHOP = '''
def stock(item: str) -> str:
    """How many of an item are in stock."""
    return f"12 of {item}"


def refund(amount: int) -> str:
    """Give money back."""
    return f"gave back {amount}"
'''

NOTES = """
from mcp.server.fastmcp import FastMCP

server = FastMCP("notes")


@server.tool()
def search(words: str) -> str:
    '''Search the notes.'''
    return f"nothing about {words}"


@server.tool()
def forget() -> str:
    '''Forget every note.'''
    return "gone"


server.run()
"""


def _call(name: str, **args: Any) -> Reply:
    return Reply(None, tool_calls=[{"name": name, "args": args, "id": f"c_{name}"}])


@pytest.mark.slow
async def test_the_page_s_council_runs(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_tools.py").write_text(SHOP)
    (tmp_path / "notes_server.py").write_text(NOTES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.setenv("OLLAMA_HOST", stage.ollama_url)
    [written] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    sitting = yaml.safe_load(written)
    with pytest.raises(CouncilError, match="MOM_TOOLS"):
        build_graph(load_council(sitting))
    [allowed] = re.findall(r'export MOM_TOOLS="(.*)"', PAGE.read_text("utf-8"))
    monkeypatch.setenv("MOM_TOOLS", allowed)

    def reply(body: dict[str, Any]) -> Reply | str:
        offered = {one["function"]["name"] for one in body.get("tools") or ()}
        told = [one["content"] for one in body["messages"] if one["role"] == "tool"]
        if "stock" in offered:
            assert offered == {"stock", "refund", "search"}
            turns = [_call("stock", item="owls"), _call("search", words="owls")]
            turns.append(_call("refund", amount=5))
            return turns[len(told)] if len(told) < 3 else f"Clerk heard: {told}"
        return "I need no tool."

    stage.model("llama3.2", reply=reply)
    result = await council(sitting).ainvoke(question())
    assert result["status"].spoke == ("Clerk", "Auditor")
    heard = str([call.body["messages"] for call in stage.calls])
    assert "12 of owls" in heard
    assert "nothing about owls" in heard
    assert "nobody is here to allow this call" in heard
    await close_loop_resources()
