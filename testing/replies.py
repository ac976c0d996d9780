"""What members of a scripted council say, and how they vote."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.graph.council import council

from .models import ScriptedModel
from .script import Lines, Reply, Script

if TYPE_CHECKING:
    from mom_council.graph.council import CouncilGraph

_CANDIDATE = re.compile(r'<candidate label="(\w+)"[^>]*>\n(.*?)\n</candidate\b', re.DOTALL)


def texts_in(body: Mapping[str, Any]) -> str:
    """Everything that a request sent, as one text."""
    lines = (f"[{message['role']}] {text_of(message)}" for message in body["messages"])
    return "\n".join(lines)


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message of a request."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(block.get("text", "") for block in content)
    return content or ""


def candidates_in(body: Mapping[str, Any]) -> dict[str, str]:
    """The answers that a voter is shown, by label; empty: the request is no vote."""
    return dict(_CANDIDATE.findall(texts_in(body)))


def ballot_for(body: Mapping[str, Any], likes: str) -> str:
    """A ballot, in the form that is asked for, for the answer that holds the text `likes`.

    Where no answer holds it, it is for the first one.
    """
    candidates = candidates_in(body)
    best = next((label for label, text in candidates.items() if likes in text), "A")
    others = [label for label in candidates if label != best]
    prompt = texts_in(body)
    if '"scores"' in prompt:
        ballot: dict[str, Any] = {"scores": {best: 9, **dict.fromkeys(others, 3)}}
    elif '"approved"' in prompt:
        ballot = {"approved": [best]}
    elif '"ranking"' in prompt:
        ballot = {"ranking": [best, *others]}
    else:
        ballot = {"vote": best}
    return json.dumps({"reason": "It is sound.", **ballot})


def character_reply(answer: str, likes: str = "") -> Callable[[dict[str, Any]], str]:
    """A reply that answers a question, and in a vote is for what holds the text `likes`."""

    def reply(body: dict[str, Any]) -> str:
        return ballot_for(body, likes) if candidates_in(body) else answer

    return reply


def scripted_council(
    source: Council | str | Mapping[str, Any] = "demo",
    *,
    answers: str | Mapping[str, str | Reply | Script] = "ok",
    votes: Mapping[str, str] | None = None,
    final: Lines = "The council's answer.",
    **options: Any,
) -> CouncilGraph:
    """A council whose models are scripted, inside this process: no key, no network.

    Characters, layers, methods, budgets and the rest of the council's rules hold as in earnest.

    Args:
        source: the council whose models are replaced: as `council` takes it.
        answers: what each character answers, by name: a text, a `Reply`, or a whole `Script` (with
            latency and faults); one text is everybody's. Who is left out answers "ok".
        votes: for each voter, a text that the answer holds which it prefers; who is left out
            prefers the answer that it sees first.
        final: what the synthesizer writes.
        options: further arguments of `council`: checkpointer, tools, extensions.

    The models are at `graph.scripted`, by character's name and "synthesizer"; each keeps the
    requests that it was sent in `calls`.

    Raises:
        CouncilError: the council cannot sit as it is written.
    """
    written = load_council(source).model_dump(mode="json", exclude_unset=True)
    models: dict[str, ScriptedModel] = {}
    scripted: dict[str, ScriptedModel] = {}
    entries: dict[str, Any] = {}
    policies = dict(written.get("models") or {})

    def replace(who: str, key: str, script: Script) -> str:
        name = f"scripted-{len(models)}"
        models[name] = scripted[who] = ScriptedModel(name=who, script=script)
        policy = {k: v for k, v in policies.get(key, {}).items() if k not in _OF_ANOTHER}
        entries[name] = {**policy, "provider": "caller", "model": who}
        return name

    for character in written["characters"]:
        who = character["name"]
        answer = answers if isinstance(answers, str) else answers.get(who, "ok")
        script = _script(answer, (votes or {}).get(who, ""))
        character["model"] = replace(who, character["model"], script)
    synthesizer = dict(written.get("synthesizer") or {})
    synthesizer["model"] = replace("synthesizer", synthesizer.get("model", ""), Script(final))
    written["synthesizer"] = synthesizer
    written["models"] = {**policies, **entries}
    graph = council(written, models=models, **options)
    graph.scripted = scripted  # type: ignore[attr-defined]
    return graph


_OF_ANOTHER = ("provider", "model", "base_url", "api_key_env", "params", "fallbacks", "lane")


def _script(answer: str | Reply | Script, likes: str) -> Script:
    if isinstance(answer, Script):
        return answer
    if isinstance(answer, Reply):
        return Script(lambda body: ballot_for(body, likes) if candidates_in(body) else answer)
    return Script(character_reply(answer, likes))
