"""How a thread's values become bytes: msgpack with our records allowed, then zlib.

Uncompressed, a turn of six characters costs 128 kB; most of it is the same field and channel names
over and over, which a dictionary that both sides know makes nearly free.
"""

from __future__ import annotations

import zlib
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde import jsonplus
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from mom_council.councils import records
from mom_council.graph import state

# Where records stood in the versions whose threads may still lie on a disk. Each is found by the
# name of its class, so a record may move to another module and old threads are read as before.
_PACKAGES = ("mom_council.", "mixture_of_models.")

_PACKED = "+z1"
_SMALLEST = 64  # bytes; below this zlib only adds to them

# Names in the order they follow each other, commonest last. Stored threads need these exact bytes
# to be read again: never edit this text, give a new one the tag "+z2" beside it.
_WORDS = (
    "additional_kwargs response_metadata usage_metadata tool_calls invalid_tool_calls "
    "input_tokens output_tokens total_tokens finish_reason model_name content_blocks "
    "langchain_core.messages.tool ToolMessage langchain_core.messages.system SystemMessage "
    "langchain_core.messages.human HumanMessage content id name type human example "
    "langchain_core.messages.ai AIMessage ai "
    "restated kind open closed unknown Annotation seated dropped Seating "
    "mixture_of_models.graph.state "
    "council spoke absent verdict stop_reason dissent minority_report rounds degraded notes "
    "written_by route usage seconds Status method borda plurality approval score options members "
    "answer tally share leader confidence decided agreed stalled single unvoted tie ballots "
    "abstained Verdict failed timeout late empty garbled refused budget reason detail stage "
    "Absence voter choice ranking approved scores unread shown Ballot "
    "attempts error status calls usd first_token cached node vote synthesizer annotator Segment "
    "character text reasoning model round layer weight truncated Proposal "
    "mixture_of_models.councils.records model_validate_json "
    "updated_channels branch:to:painter channel_versions versions_seen __input__ __start__ "
    "channel_values asked_at annotation seating proposals absences segments verdicts messages "
    "branch:to:classifier branch:to:annotator branch:to:seating branch:to:thermal_wait "
    "branch:to:quorum branch:to:consensus branch:to:synthesizer branch:to:vote_ branch:to:"
)
_KNOWN = ormsgpack.packb(_WORDS.split())


def _records() -> dict[str, type[records.Record]]:
    """Every record that may stand in a thread, by the name of its class."""
    return {
        found.__name__: found
        for module in (records, state)
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, records.Record)
    }


def allowed_records() -> list[tuple[str, str]]:
    """Every record that may stand in a thread; LangGraph hands back any other type as a dict."""
    return sorted((found.__module__, name) for name, found in _records().items())


class PackedSerializer(JsonPlusSerializer):
    """LangGraph's own serializer, never pickle, with what it writes compressed."""

    def __init__(self) -> None:
        super().__init__(pickle_fallback=False, allowed_msgpack_modules=allowed_records())
        self._read_other = self._unpack_ext_hook
        self._unpack_ext_hook = self._read_extension
        self._by_name = _records()

    def _read_extension(self, code: int, data: bytes) -> Any:
        """Read one of our records by its name, wherever it stood; LangGraph reads the rest."""
        if code == jsonplus.EXT_PYDANTIC_V2:
            module, name, fields, *_ = ormsgpack.unpackb(
                data, ext_hook=self._read_extension, option=ormsgpack.OPT_NON_STR_KEYS
            )
            if module.startswith(_PACKAGES) and name in self._by_name:
                return self._by_name[name](**fields)
        return self._read_other(code, data)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Serialize, and compress where that makes it smaller."""
        kind, plain = super().dumps_typed(obj)
        if len(plain) < _SMALLEST:
            return kind, plain
        squeeze = zlib.compressobj(6, zdict=_KNOWN)
        packed = squeeze.compress(plain) + squeeze.flush()
        return (kind + _PACKED, packed) if len(packed) < len(plain) else (kind, plain)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Read what `dumps_typed` wrote, and what other savers of LangGraph wrote before."""
        kind, stored = data
        if kind.endswith(_PACKED):
            kind = kind.removesuffix(_PACKED)
            stored = zlib.decompressobj(zdict=_KNOWN).decompress(stored)
        return super().loads_typed((kind, stored))
