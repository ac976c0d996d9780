"""The council as tools of the Model Context Protocol: ask, list councils, explain the verdict."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any
from weakref import WeakKeyDictionary

from langchain_core.messages import HumanMessage
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import ClientCapabilities, ElicitationCapability
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mom_council.deliberation.context import AnswerForm
from mom_council.deliberation.events import Counted, Event, Missed, Polled, Read, Seated
from mom_council.deliberation.people import PersonRequest
from mom_council.records import Status, Verdict
from mom_council.runs.http_guard import BodyTooLargeError, limited
from mom_council.runs.threads import show_thread
from mom_council.runs.words import joined
from mom_council.server.answer import WholeAnswer, council_report, run
from mom_council.server.body import too_large
from mom_council.server.errors import Refusal, to_error_response
from mom_council.server.requests import Visitor, admitted, read_question
from mom_council.server.state import ServerState

INSTRUCTIONS = (
    "A council of language models answers one question together: several answer, they vote, and "
    "one writes the answer. Ask it where a second opinion is worth some seconds; it does not see "
    "your conversation, so put everything it needs into the question."
)
_OWNER = "council_owner"


class ToolAnswer(BaseModel):
    """What a council answers."""

    answer: str
    council: dict[str, Any] = Field(
        description="who spoke, who was absent and why, the verdict, the dissent, what it cost"
    )


class ListedCouncil(BaseModel):
    """A council that can be asked."""

    name: str
    description: str
    characters: list[str]
    method: str = Field(description="how it counts votes")


class Explanation(BaseModel):
    """How an answer came about."""

    explanation: str
    council: dict[str, Any]


class ApprovalForm(BaseModel):
    """Whether a tool may be called."""

    allow: bool = Field(description="whether the tool may be called like this")


class SpokenForm(BaseModel):
    """What a person says, or votes."""

    text: str = Field(description="what you say; in a vote a letter or a ranking such as B > A")


class ClientPeople:
    """The person at the MCP client, asked by elicitation."""

    present = True

    def __init__(self, context: Context[Any, Any, Any]) -> None:
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


def _people(context: Context[Any, Any, Any]) -> ClientPeople | None:
    """The person at the client; None where it cannot put a question to anybody."""
    wanted = ClientCapabilities(elicitation=ElicitationCapability())
    return ClientPeople(context) if context.session.check_client_capability(wanted) else None


class CouncilTools:
    """The tools, over a server."""

    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._last: WeakKeyDictionary[Any, Status] = WeakKeyDictionary()

    async def ask(
        self, question: str, context: Context[Any, Any, Any], council: str = "", thread: str = ""
    ) -> ToolAnswer:
        """Ask a council of language models one question; several answer, and they vote.

        It does not see this conversation: put all that it needs into the question. `council` is a
        name that list_councils gives, or name:method for another way of counting votes; left out,
        the first one. A `thread` is a conversation that goes on under that name.
        """
        if not question.strip():
            raise ToolError("the question is empty")
        try:
            return await self._ask(question, context, council, thread)
        except Exception as error:
            raise self._tool_error(error) from None

    async def list_councils(self) -> list[ListedCouncil]:
        """List the councils that can be asked: who sits in them, and how they count votes."""
        listed = []
        for name in await self._server.catalogue.councils():
            try:
                council = (await self._server.catalogue.find(name)).council
            except Exception as error:
                raise self._tool_error(error) from None
            listed.append(
                ListedCouncil(
                    name=name,
                    description=council.description,
                    characters=[character.name for character in council.characters],
                    method=council.deliberation.method,
                )
            )
        return listed

    async def explain_last_verdict(
        self, context: Context[Any, Any, Any], thread: str = ""
    ) -> Explanation:
        """Say how the last answer came about: who spoke, how the vote went, who dissented and why.

        Of a `thread` it is the last answer there; left out, the last one that you asked for.
        """
        try:
            status = await self._status(context, thread)
        except Exception as error:
            raise self._tool_error(error) from None
        if status is None:
            raise ToolError("nothing was asked yet; call ask first")
        return Explanation(explanation=in_words(status), council=self._account(status, thread))

    async def _ask(
        self, question: str, context: Context[Any, Any, Any], council: str, thread: str
    ) -> ToolAnswer:
        server, visitor = self._server, Visitor(_owner(context))
        model = council or (await server.catalogue.councils())[0]
        served_question = await read_question(
            server,
            visitor,
            model,
            [HumanMessage(question)],
            form=AnswerForm(),
            thread=thread or None,
            people=_people(context),
        )
        steps: asyncio.Queue[str] = asyncio.Queue()
        telling = asyncio.create_task(_tell(context, steps))

        def watch(event: Event) -> None:
            if step := _step(event):
                steps.put_nowait(step)

        outcome: WholeAnswer | None = None
        try:
            async with aclosing(run(server, served_question, watch=watch)) as parts:
                async for part in parts:
                    if isinstance(part, WholeAnswer):
                        outcome = part
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        assert outcome is not None  # noqa: S101 - `run` ends with it
        self._last[context.session] = outcome.answered.status
        report = council_report(outcome, thread=thread or None, candid=server.settings.candid)
        return ToolAnswer(answer=outcome.text, council=report)

    async def _status(self, context: Context[Any, Any, Any], thread: str) -> Status | None:
        if not thread:
            return self._last.get(context.session)
        kept = Visitor(_owner(context)).store_name(thread)
        view = await show_thread(await self._server.saver(), kept)
        return view.status if view else None

    def _account(self, status: Status, thread: str) -> dict[str, Any]:
        from mom_council.deliberation.events import Answered

        outcome = WholeAnswer("", Answered(text="", status=status))
        return council_report(outcome, thread=thread or None, candid=self._server.settings.candid)

    def _tool_error(self, error: Exception) -> ToolError:
        if isinstance(error, ToolError):
            return error
        refusal = to_error_response(error, candid=self._server.settings.candid)
        return ToolError(refusal.body["error"]["message"])


def make_mcp(server: ServerState) -> FastMCP[Any]:
    """The MCP server of a server."""
    tools: FastMCP[Any] = FastMCP("mixture-of-models", INSTRUCTIONS, log_level="WARNING")
    desk = CouncilTools(server)
    for tool in (desk.ask, desk.list_councils, desk.explain_last_verdict):
        tools.add_tool(tool)
    return tools


class GuardedApp:
    """An application behind the same door as the endpoint: keys, or this machine alone."""

    def __init__(self, app: ASGIApp, server: ServerState) -> None:
        self._app, self._server = app, server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at who comes."""
        if scope["type"] == "http":
            try:
                scope[_OWNER] = admitted(Request(scope), self._server.keys)
            except Refusal as refusal:
                await refusal.response()(scope, receive, send)
                return
            await self._take(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; a body that is too large is refused while it arrives."""
        most, began = self._server.settings.most_bytes, False

        async def marked(message: Message) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, limited(receive, most), marked)
        except BodyTooLargeError:
            if not began:
                await too_large(most).response()(scope, receive, send)


def in_words(status: Status) -> str:
    """How an answer came about, in a few sentences."""
    lines = [f"The council {status.council!r}: {', '.join(status.spoke) or 'nobody'} spoke."]
    if status.verdict is not None:
        lines.append(_verdict(status.verdict, status.rounds))
    lines += [f"{a.character} was absent ({a.reason})." for a in status.absent]
    if status.dissent:
        lines.append(f"Not in agreement: {', '.join(status.dissent)}.")
    lines += [f"{line}." for line in joined(status)]
    if status.minority_report:
        lines.append(f"The strongest other view: {status.minority_report}")
    lines.append(f"{status.usage.calls} calls, {status.seconds:.1f} s, by {status.written_by!r}.")
    return "\n".join(lines)


def _verdict(verdict: Verdict, rounds: int) -> str:
    if verdict.leader is None or not verdict.options:
        return "There was no vote."
    behind = ", ".join(verdict.options[0].members)
    tie = ", a tie broken by seat" if verdict.tie else ""
    return (
        f"{behind} led with {verdict.share:.0%} by {verdict.method} after {rounds} round(s), "
        f"{verdict.ballots} ballot(s){tie}; it ended because: {verdict.stop_reason}."
    )


def _step(event: Event) -> str:
    """What a person is told of an event while the council is at work."""
    match event:
        case Read() if event.annotation.restated:
            return f"It is read as: {event.annotation.restated}"
        case Seated():
            return f"Round {event.round}: {', '.join(event.seated)} answer"
        case Polled():
            return f"Round {event.round}: {', '.join(event.voters)} vote"
        case Missed():
            return f"{event.absence.character} is absent ({event.absence.reason})"
        case Counted():
            return f"Counted: {event.why}" if event.why else "Counted"
    return ""


async def _tell(context: Context[Any, Any, Any], steps: asyncio.Queue[str]) -> None:
    done = 0
    while True:
        step = await steps.get()
        done += 1
        await context.report_progress(done, message=step)


def _owner(context: Context[Any, Any, Any]) -> str:
    """The name of the key that the request came with."""
    request = context.request_context.request
    return str(request.scope.get(_OWNER, "")) if request is not None else ""
