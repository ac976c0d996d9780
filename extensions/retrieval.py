"""Retrieval: passages of one's own documents that bear on the question, with their source."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from pydantic import BaseModel, ConfigDict, Field

from mom_council.extensions.documents import Collection, Passage
from mom_council.extensions.lexical import Lexicon
from mom_council.extensions.meaning import Meanings, configured
from mom_council.extensions.protocol import At, Change, Extension
from mom_council.models.clients import room

_REMEMBERED = 64


class RetrievalSettings(BaseModel):
    """Which documents, and how much of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collection: str = Field(
        default="documents",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="a folder in `documents/` of the data directory, or one named in MOM_DOCUMENTS",
    )
    passages: int = Field(default=4, ge=1, le=50, description="quoted at the most")
    size: int = Field(default=1200, ge=200, le=20_000, description="characters of a passage")


class Retrieval(Extension):
    """By words (BM25), or by meaning where MOM_EMBEDDINGS names an embedding model."""

    description = "quotes passages of your own documents to the characters, with their source"
    Settings = RetrievalSettings
    nodes = ("character", "synthesizer")
    settings: RetrievalSettings

    def __init__(self, settings: RetrievalSettings) -> None:
        super().__init__(settings)
        self._collection = Collection(settings.collection, settings.size)
        self._turn = asyncio.Lock()
        self._read: tuple[Passage, ...] = ()
        self._lexicon: Lexicon | None = None
        self._meanings: Meanings | None = None
        self._found: OrderedDict[tuple[str, float], tuple[Passage, ...]] = OrderedDict()

    async def before(self, at: At) -> Change | None:
        """Quote what bears on the question, the same to everyone who is asked it."""
        restated = at.state["annotation"].restated
        query = f"{at.question}\n{restated}".strip()
        asked = (query, at.state["asked_at"])
        async with self._turn:  # six characters ask at once, and one search is enough
            if asked not in self._found:
                self._found[asked] = await self._search(query)
                if len(self._found) > _REMEMBERED:
                    self._found.popitem(last=False)
            found = self._found[asked]
        if not found:
            return None
        if at.node == "synthesizer":
            places = "; ".join(dict.fromkeys(passage.place for passage in found))
            at.note(f"Quoted from the documents in {self.settings.collection!r}: {places}.")
        quoted = (f"[{n}] {one.place}:\n{one.text}" for n, one in enumerate(found, 1))
        return Change(material="\n\n".join(quoted))

    async def _search(self, query: str) -> tuple[Passage, ...]:
        passages = await asyncio.to_thread(self._collection.read)
        if passages != self._read:
            self._read, self._lexicon = passages, None
        if not passages:
            return ()
        texts = [passage.text for passage in passages]
        if model := configured():
            if self._meanings is None:
                name, here = self.settings.collection, await room()
                self._meanings = await asyncio.to_thread(Meanings, model, name, here)
            best = await self._meanings.best(texts, query, self.settings.passages)
        else:
            if self._lexicon is None:
                self._lexicon = await asyncio.to_thread(Lexicon, texts)
            best = self._lexicon.best(query, self.settings.passages)
        return tuple(passages[number] for number in best)
