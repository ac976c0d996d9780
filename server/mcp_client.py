"""What the MCP server asks of the program that calls it: its user, its model; and stdin and stdout.

The user is asked by elicitation, the model by sampling, each only where the client offers it.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import anyio
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.stdio import stdio_server
from mcp.types import (
    ClientCapabilities,
    ElicitationCapability,
    ImageContent,
    ModelHint,
    ModelPreferences,
    SamplingCapability,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel, Field

from mom_council.deliberation.events import (
    Counted,
    Event,
    Finished,
    Missed,
    Noted,
    Polled,
    Read,
    Seated,
    Speaker,
    TextSpoken,
    Voted,
)
from mom_council.deliberation.people import PersonRequest
from mom_council.models.providers.sampling import AskHost, Sample, SampleRequest
from mom_council.runs import words
from mom_council.seams.mcp import run_on_streams
from mom_council.server.mcp_guard import refuse_message

Result = TypeVar("Result")
ToolContext = Context[Any, Any, Any]


class ApprovalForm(BaseModel):
    """Whether a tool may be called."""

    allow: bool = Field(description="whether the tool may be called like this")


class SpokenForm(BaseModel):
    """What a person says, or votes."""

    text: str = Field(description="what you say; in a vote a letter or a ranking such as B > A")


class ClientPeople:
    """The person at the MCP client, asked by elicitation."""

    present = True

    def __init__(self, context: ToolContext) -> None:
        self._context = context

    async def answer(self, request: PersonRequest) -> Any:
        """What the person says; nothing where they decline."""
        if request.kind == "person":
            does = "vote" if request.votes else "speak"
            message = f"{request.name}, it is your turn to {does}.\n\n{request.prompt}"
            spoken = await self._context.elicit(message, SpokenForm)
            return spoken.data.text if spoken.action == "accept" else ""
        return {call["id"]: await self._approved(request, call) for call in request.calls}

    async def _approved(self, request: PersonRequest, call: dict[str, Any]) -> bool:
        arguments = json.dumps(call["arguments"], ensure_ascii=False)
        message = f"{request.name} wants to call {call['tool']} with {arguments}. Allow it?"
        answer = await self._context.elicit(message, ApprovalForm)
        return answer.action == "accept" and answer.data.allow


def client_people(context: ToolContext) -> ClientPeople | None:
    """The person at the client; None where it cannot put a question to anybody."""
    needed = ClientCapabilities(elicitation=ElicitationCapability())
    return ClientPeople(context) if context.session.check_client_capability(needed) else None


def client_model(context: ToolContext) -> AskHost | None:
    """What asks the client's model; None where the client lends none."""
    needed = ClientCapabilities(sampling=SamplingCapability())
    if not context.session.check_client_capability(needed):
        return None

    async def ask(request: SampleRequest) -> Sample:
        hints = [ModelHint(name=request.hint)] if request.hint else None
        result = await context.session.create_message(
            [message for role, parts in request.messages for message in _messages(role, parts)],
            max_tokens=request.max_tokens,
            system_prompt=request.system or None,
            temperature=request.temperature,
            stop_sequences=list(request.stop) or None,
            model_preferences=ModelPreferences(hints=hints) if hints else None,
            related_request_id=context.request_id,
        )
        content: Any = result.content
        blocks = content if isinstance(content, list) else [content]
        text = "".join(block.text for block in blocks if isinstance(block, TextContent))
        return Sample(text, result.model, result.stopReason)

    return ask


def _messages(role: Any, parts: Any) -> list[SamplingMessage]:
    """One message for each part: older clients take one block a message."""
    return [
        SamplingMessage(
            role=role,
            content=TextContent(type="text", text=part["text"])
            if "text" in part
            else ImageContent(type="image", data=part["data"], mimeType=part["mime"]),
        )
        for part in parts
    ]


class ProgressReport:
    """Tells a client what the council does, in the order in which it happens.

    Each step is a progress notification with a sentence, and a log message with the event's fields
    for programs. A client that asked for no progress is told nothing.
    """

    def __init__(self, context: ToolContext, *, candid: bool) -> None:
        self._context = context
        self._candid = candid
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._spoken: dict[Speaker, str] = {}
        """What each of those who are speaking has said so far."""
        meta = context.request_context.meta
        self._is_wanted = meta is not None and meta.progressToken is not None

    def take(self, event: Event) -> None:
        """Put an event in the queue."""
        if not self._is_wanted:
            return
        if isinstance(event, TextSpoken):
            if not event.reasoning:
                self._spoken[event.speaker] = self._spoken.get(event.speaker, "") + event.text
            return
        if isinstance(event, Finished):
            spoken = self._spoken.pop(event.speaker, "")
            event = event.model_copy(update={"reply": event.reply or spoken})
        self._events.put_nowait(event)

    async def send_all(self) -> None:
        """Send until cancelled."""
        sent = 0
        while True:
            event = await self._events.get()
            try:
                if step := step_in_words(event, candid=self._candid):
                    sent += 1
                    await self._context.report_progress(sent, message=step)
                    await self._context.session.send_log_message(
                        "info",
                        self._fields(event),
                        logger="council",
                        related_request_id=self._context.request_id,
                    )
            finally:
                self._events.task_done()

    async def finish(self) -> None:
        """Wait until everything was sent."""
        await self._events.join()

    def _fields(self, event: Event) -> dict[str, Any]:
        fields = event.model_dump(mode="json", exclude_defaults=True)
        if isinstance(event, Missed) and not self._candid:
            fields["absence"].pop("detail", None)
        return {"kind": event.kind, **fields}


def step_in_words(event: Event, *, candid: bool) -> str:  # noqa: C901 - one line an event
    """What a person is told of an event while the council works; empty: nothing.

    Args:
        event: what happened.
        candid: whether the reader may know the words of errors.
    """
    match event:
        case Read() if event.annotation.restated:
            return f"The question is read as: {event.annotation.restated}"
        case Seated():
            return f"Round {event.round}: {', '.join(event.seated)} answer"
        case Finished() if event.speaker.node == "character":
            return words.one_line(f"{event.speaker.name} answered: {event.reply}", 200)
        case Finished() if event.speaker.node == "synthesizer":
            return "The answer is written"
        case Polled():
            return f"Round {event.round}: {', '.join(event.voters)} vote"
        case Voted():
            vote = words.ballot(event.ballot)
            return f"{event.ballot.voter} {vote if vote == 'abstains' else 'votes ' + vote}"
        case Missed():
            absence = event.absence
            if not candid:
                absence = absence.model_copy(update={"detail": ""})
            return words.absent(absence)
        case Counted():
            return f"Counted: {event.why}" if event.why else "Counted"
        case Noted() if candid:
            return event.text
    return ""


async def run_apart(work: Awaitable[Result]) -> Result:
    """Do some work in a task of its own, outside of the caller's cancel scopes.

    A request that a client cancels is cancelled by a scope of anyio, which raises again at every
    `await` of the clean-up. In a task of its own the work is cancelled once and waited for, so the
    connections to the models are closed before this returns.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # nobody wants it any more
        raise


class StdinLines:
    """Lines of stdin, read in a thread that keeps no program from ending.

    The thread of the SDK's own reader cannot be stopped while it reads: a program that is told to
    end (Ctrl-C, SIGTERM) would wait for its client's next line.
    """

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def _read(self) -> None:
        # By its descriptor: a buffer that a thread holds at the program's end is a fatal error.
        pending = b""
        try:
            while piece := os.read(0, 65536):
                *lines, pending = (pending + piece).split(b"\n")
                for line in lines:
                    self._put(line.decode("utf-8", "replace"))
            if pending:
                self._put(pending.decode("utf-8", "replace"))
        except OSError:
            pass
        self._put(None)

    def _put(self, line: str | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._lines.put_nowait, line)

    async def __aiter__(self) -> AsyncIterator[str]:
        """The lines, until the client has left."""
        while (line := await self._lines.get()) is not None:
            yield line


class StdoutLines:
    """Where messages to the client are written: the stdout that the program was started with.

    Whatever else in this process prints goes to stderr, since it would break the protocol.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._file = os.dup(1)
        os.dup2(2, 1)

    async def write(self, text: str) -> None:
        """Write a message; a client that reads slowly does not hold up the others.

        Raises:
            OSError: the client has left.
        """
        async with self._lock:
            await asyncio.to_thread(self._write_all, text.encode())

    def _write_all(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self._file, view) :]

    async def flush(self) -> None:
        """Nothing is buffered here."""


class ReadableLines:
    """The client's messages; what is none is answered here, so that nobody waits for ever."""

    def __init__(self, lines: StdinLines, output: StdoutLines) -> None:
        self._lines, self._output = lines, output

    async def __aiter__(self) -> AsyncIterator[str]:
        """The lines that hold a message."""
        async for line in self._lines:
            if not line.strip():
                continue
            answer = await asyncio.to_thread(refuse_message, line)
            if answer is None:
                yield line
            else:
                await self._output.write(json.dumps(answer) + "\n")


async def serve_stdio(tools: FastMCP[Any]) -> None:
    """Serve one client over stdin and stdout, until it leaves."""
    output: Any = StdoutLines()
    lines: Any = ReadableLines(StdinLines(), output)
    try:
        async with stdio_server(lines, output) as (read, write):
            await run_on_streams(tools, read, write)
    except* (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass  # the client has left
