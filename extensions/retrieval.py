"""Retrieval: passages of a user's own documents for the question, with their source.

Passages are found by their meaning where MOM_EMBEDDINGS names a model, as LangChain's
`init_embeddings` does (`ollama:nomic-embed-text`); by their words otherwise. MOM_EMBEDDINGS_URL
is a server that is not the vendor's own, and MOM_EMBEDDINGS_KEY a key for it. They are variables,
because every document is sent there: no council may decide that. Vectors are kept, so that they
cost once.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from mom_council import paths
from mom_council.councils.schema import Model
from mom_council.errors import CouncilError, ProviderNotInstalledError
from mom_council.extensions.documents import Collection, Passage, WordIndex
from mom_council.extensions.protocol import At, Change, Extension
from mom_council.models.clients import loop_resources

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from mom_council.models.clients import LoopResources


MODEL = "MOM_EMBEDDINGS"
ADDRESS = "MOM_EMBEDDINGS_URL"
KEY = "MOM_EMBEDDINGS_KEY"
_AT_ONCE = 64


def configured() -> str | None:
    """The embedding model that the owner of this machine has named."""
    return os.environ.get(MODEL, "").strip() or None


class VectorIndex:
    """The vectors of texts, in a LangChain vector store and in a file beside the data.

    Args:
        model: as `init_embeddings` names it.
        name: of the file.
        resources: the running loop's clients.
    """

    def __init__(self, model: str, name: str, resources: LoopResources) -> None:
        from langchain_core.vectorstores import InMemoryVectorStore

        self._embeddings = open_embeddings(model, resources)
        self._store = InMemoryVectorStore(self._embeddings)
        mark = hashlib.sha256(f"{model} {os.environ.get(ADDRESS, '')}".encode()).hexdigest()[:12]
        self._file = paths.data_dir() / "retrieval" / f"{name}-{mark}.jsonl"
        self._known: dict[str, list[float]] | None = None

    async def best(self, texts: Sequence[str], query: str, most: int) -> list[int]:
        """The numbers of the texts that are nearest to a query, nearest first."""
        marks = [_mark(text) for text in texts]
        await self._learn(dict(zip(marks, texts, strict=True)))
        number = {mark: place for place, mark in reversed([*enumerate(marks)])}
        scored = await self._store.asimilarity_search_with_score(query, k=most)
        return [number[document.id] for document, _ in scored if document.id in number]

    async def _learn(self, texts: dict[str, str]) -> None:
        """Ask for the vectors that are not known yet; what has come is kept, whatever follows."""
        if self._known is None:
            self._known = await asyncio.to_thread(_read, self._file)
        new = [mark for mark in texts if mark not in self._known]
        for start in range(0, len(new), _AT_ONCE):
            some = new[start : start + _AT_ONCE]
            vectors = await self._embeddings.aembed_documents([texts[mark] for mark in some])
            fresh = dict(zip(some, vectors, strict=True))
            await asyncio.to_thread(_write, self._file, fresh)
            self._known |= fresh
        self._store.store = {
            mark: {"id": mark, "vector": self._known[mark], "text": texts[mark], "metadata": {}}
            for mark in texts
        }


def open_embeddings(model: str, resources: LoopResources) -> Embeddings:
    """An embedding model, sending through the clients that the chat models send through.

    Raises:
        CouncilError: it is not named as it should be.
        ProviderNotInstalledError: its package is not here.
    """
    from langchain.embeddings import init_embeddings

    from mom_council.models.transport import AiohttpTransport

    address = os.environ.get(ADDRESS, "").strip()
    more: dict[str, Any] = {"base_url": address} if address else {}
    if model.startswith("openai:"):
        more |= {"http_async_client": resources.sdk_client(address), "max_retries": 0}
        if address:
            # The vendor's key goes to the vendor alone; others take texts, not token numbers.
            more |= {"api_key": os.environ.get(KEY) or "none", "check_embedding_ctx_length": False}
    elif model.startswith("ollama:"):
        more |= {"async_client_kwargs": {"transport": AiohttpTransport(resources.sessions)}}
    try:
        embeddings: Any = init_embeddings(model, **more)
    except ImportError as error:
        raise ProviderNotInstalledError(f"{MODEL}={model}: {error}") from None
    except ValueError as error:
        raise CouncilError(f"{MODEL}={model}: {error}") from None
    return _meter_embeddings(model, address, embeddings)


def _meter_embeddings(model: str, address: str, inner: Embeddings) -> Embeddings:
    """The embeddings, each request counted, and within the question's budget."""
    from langchain_core.embeddings import Embeddings as Base

    from mom_council.models.embeddings import embedding_need
    from mom_council.models.prices import Meter, find_price
    from mom_council.models.request_budget import metered_request

    provider, _, name = model.partition(":")
    spec = Model(provider=provider, model=name or model, base_url=address or None)

    class Metered(Base):
        async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
            price = (await find_price(spec, None)).price
            meter = Meter(price)
            async with metered_request(spec, price, meter, embedding_need(texts, price)):
                meter.begin_request()
                return await inner.aembed_documents(texts)

        async def aembed_query(self, text: str) -> list[float]:
            return (await self.aembed_documents([text]))[0]

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            raise NotImplementedError

        def embed_query(self, text: str) -> list[float]:
            raise NotImplementedError

    return Metered()


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _read(file: Path) -> dict[str, list[float]]:
    vectors: dict[str, list[float]] = {}
    if file.is_file():
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    mark, vector = json.loads(line)
                    vectors[mark] = [float(value) for value in vector]
                except (ValueError, TypeError):
                    continue  # a line that was cut off by a kill
    return vectors


def _write(file: Path, vectors: dict[str, list[float]]) -> None:
    paths.ensure(file.parent)
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8") as opened:
        opened.writelines(json.dumps([mark, vector]) + "\n" for mark, vector in vectors.items())


_REMEMBERED = 64


class RetrievalSettings(BaseModel):
    """Which documents, and how much of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collection: str = Field(
        default="documents",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="a folder in `documents/` of the data directory, or one named in MOM_DOCUMENTS",
    )
    passages: int = Field(default=4, ge=1, le=50, description="maximum number of passages quoted")
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
        self._lexicon: WordIndex | None = None
        self._meanings: VectorIndex | None = None
        self._found: OrderedDict[tuple[str, float], tuple[Passage, ...]] = OrderedDict()

    async def before(self, at: At) -> Change | None:
        """Quote what bears on the question, the same to everyone who is asked it."""
        restated = at.state["annotation"].restated
        query = f"{at.question}\n{restated}".strip()
        key = (query, at.state["asked_at"])
        async with self._turn:  # six characters ask at once, and one search is enough
            if key not in self._found:
                self._found[key] = await self._search(query)
                if len(self._found) > _REMEMBERED:
                    self._found.popitem(last=False)
            passages = self._found[key]
        if not passages:
            return None
        if at.node == "synthesizer":
            places = "; ".join(dict.fromkeys(passage.place for passage in passages))
            at.note(f"Quoted from the documents in {self.settings.collection!r}: {places}.")
        quoted = (f"[{n}] {one.place}:\n{one.text}" for n, one in enumerate(passages, 1))
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
                name, here = self.settings.collection, await loop_resources()
                self._meanings = await asyncio.to_thread(VectorIndex, model, name, here)
            best = await self._meanings.best(texts, query, self.settings.passages)
        else:
            if self._lexicon is None:
                self._lexicon = await asyncio.to_thread(WordIndex, texts)
            best = self._lexicon.best(query, self.settings.passages)
        return tuple(passages[number] for number in best)
