"""The council over the Model Context Protocol: its tools, its resources and its prompts."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from langchain_core.messages import HumanMessage
from mcp.server.fastmcp import FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import (
    CallToolResult,
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    ToolAnnotations,
)
from pydantic import BaseModel, Field, ValidationError
from starlette.types import Scope

from mom_council.councils.sections import VARIABLE
from mom_council.deliberation.context import AnswerForm
from mom_council.models.providers.sampling import host_model
from mom_council.records import Status, Verdict
from mom_council.runs.threads import show_thread
from mom_council.runs.words import counted, joined
from mom_council.seams.mcp import send_error_codes
from mom_council.server.answer import ServedQuestion, WholeAnswer, council_report, run
from mom_council.server.errors import Refusal, to_error_response, validation_error
from mom_council.server.mcp_client import (
    ProgressReport,
    ToolContext,
    client_model,
    client_people,
    run_apart,
)
from mom_council.server.mcp_guard import OWNER
from mom_council.server.request_log import request_id, tool_call
from mom_council.server.requests import Visitor, read_question
from mom_council.server.state import ServerState

INSTRUCTIONS = (
    "A council of language models answers one question together: several answer, they vote, and "
    "one writes the answer. Ask it where a second opinion is worth some seconds; it does not see "
    "your conversation, so put everything it needs into the question."
)
QuestionText = Annotated[
    str, Field(description="The whole question, with everything that is needed to answer it.")
]
CouncilName = Annotated[
    str | None,
    Field(
        description="A name that list_councils gives, or NAME:METHOD to count votes another way "
        "(such as desk:borda). Left out or null: the first council."
    ),
]
ThreadName = Annotated[
    str | None,
    Field(
        description="The name of a conversation that goes on: 1 to 64 letters, digits, '-', '_', "
        "'.'. Left out or null: none is kept."
    ),
]
PromptQuestion = Annotated[str, Field(description="What to ask.")]
PromptText = Annotated[str, Field(description="What to review.")]
PromptCouncil = Annotated[str, Field(description="Which council; left out, the first one.")]


class ToolAnswer(BaseModel):
    """What a council answers."""

    answer: str = Field(description="the answer, which is the text of the result too")
    council: dict[str, Any] = Field(
        description="who spoke, who was absent and why, the verdict, the dissent, what it cost"
    )


class ListedCouncil(BaseModel):
    """A council that can be asked."""

    name: str = Field(description="what `council` of ask takes")
    description: str
    characters: list[str] = Field(description="who answers")
    method: str = Field(description="how it counts votes")


class Explanation(BaseModel):
    """How an answer came about."""

    explanation: str = Field(description="in a few sentences")
    council: dict[str, Any] = Field(description="the same, as fields")


class CouncilTools:
    """The tools, over a server."""

    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._last: WeakKeyDictionary[Any, Status] = WeakKeyDictionary()

    async def ask(
        self,
        question: QuestionText,
        context: ToolContext,
        council: CouncilName = None,
        thread: ThreadName = None,
    ) -> Annotated[CallToolResult, ToolAnswer]:
        """Ask a council of language models one question; several answer, and they vote.

        It does not see this conversation: put all that it needs into the question.
        """
        if not question.strip():
            raise ToolError("the question is empty")
        with tool_call("ask", _scope(context), _owner(context)) as call:
            try:
                answer = await self._ask(question, context, council or "", thread or "")
            except Exception as error:
                raise self._tool_error(error) from None
        return CallToolResult(
            content=[TextContent(type="text", text=answer.answer)],
            structuredContent=answer.model_dump(mode="json"),
            _meta={"request_id": call.id},
        )

    async def list_councils(self, context: ToolContext) -> list[ListedCouncil]:
        """List the councils that can be asked: who sits in them, and how they count votes."""
        with tool_call("list_councils", _scope(context), _owner(context)):
            try:
                return await self.describe_all()
            except Exception as error:
                raise self._tool_error(error) from None

    async def describe_all(self) -> list[ListedCouncil]:
        """What there is to know of every council.

        Raises:
            CouncilError: one cannot sit.
        """
        return [await self.describe(name) for name in await self._server.catalogue.councils()]

    async def describe(self, name: str) -> ListedCouncil:
        """What there is to know of one council before it is asked.

        Raises:
            Refusal: there is no such council.
            CouncilError: it cannot sit.
        """
        council = (await self._server.catalogue.find(name)).council
        return ListedCouncil(
            name=name,
            description=council.description,
            characters=[character.name for character in council.characters],
            method=council.deliberation.method,
        )

    async def explain_last_verdict(
        self, context: ToolContext, thread: ThreadName = None
    ) -> Annotated[CallToolResult, Explanation]:
        """Say how the last answer came about: who spoke, how the vote went, who dissented and why.

        Of a `thread` it is the last answer there; left out, the last one that you asked for.
        """
        with tool_call("explain_last_verdict", _scope(context), _owner(context)):
            try:
                explanation = await self.explain(context, thread or "")
            except Exception as error:
                raise self._tool_error(error) from None
        return CallToolResult(
            content=[TextContent(type="text", text=explanation.explanation)],
            structuredContent=explanation.model_dump(mode="json"),
        )

    async def explain(self, context: ToolContext, thread: str = "") -> Explanation:
        """How the last answer came about.

        Raises:
            ToolError: nothing was asked yet.
        """
        status = await self._status(context, thread)
        if status is None:
            raise ToolError("nothing was asked yet; call ask first")
        return Explanation(explanation=in_words(status), council=self._account(status, thread))

    async def _ask(
        self, question: str, context: ToolContext, council: str, thread: str
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
            people=client_people(context),
        )
        progress = ProgressReport(context, candid=server.settings.candid)
        sending = asyncio.create_task(progress.send_all())
        try:
            with host_model(client_model(context)):
                outcome = await run_apart(self._answer(served_question, progress))
            await progress.finish()
        finally:
            sending.cancel()
        self._last[context.session] = outcome.answered.status
        report = council_report(outcome, thread=thread or None, candid=server.settings.candid)
        return ToolAnswer(answer=outcome.text, council=report)

    async def _answer(self, question: ServedQuestion, progress: ProgressReport) -> WholeAnswer:
        outcome: WholeAnswer | None = None
        async with aclosing(run(self._server, question, watch=progress.take)) as parts:
            async for part in parts:
                if isinstance(part, WholeAnswer):
                    outcome = part
        assert outcome is not None  # noqa: S101 - `run` ends with it
        return outcome

    async def _status(self, context: ToolContext, thread: str) -> Status | None:
        if not thread:
            return self._last.get(context.session)
        name = Visitor(_owner(context)).store_name(thread)
        view = await show_thread(await self._server.saver(), name)
        return view.status if view else None

    def _account(self, status: Status, thread: str) -> dict[str, Any]:
        from mom_council.deliberation.events import Answered

        outcome = WholeAnswer("", Answered(text="", status=status))
        return council_report(outcome, thread=thread or None, candid=self._server.settings.candid)

    def _tool_error(self, error: Exception) -> ToolError:
        if isinstance(error, ToolError):
            return error
        refusal = to_error_response(error, candid=self._server.settings.candid)
        return ToolError(f"{refusal.body['error']['message']} (request {request_id()})")


class _CouncilMCP(FastMCP[Any]):
    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
        """Call a tool; an argument that does not fit is told in our words, not in the library's."""
        try:
            return await super().call_tool(name, arguments)
        except ToolError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            refusal = validation_error(error.__cause__, arguments)
            raise ToolError(f"{name}: {refusal.error['message']}") from None


def make_mcp(server: ServerState) -> FastMCP[Any]:
    """The MCP server of a server."""
    mcp: FastMCP[Any] = _CouncilMCP("mixture-of-models", INSTRUCTIONS, log_level="WARNING")
    tools = CouncilTools(server)
    # Only tools that the environment allows could change anything.
    reads = ToolAnnotations(
        readOnlyHint=not os.environ.get(VARIABLE, "").strip(),
        destructiveHint=False,
        idempotentHint=False,
        openWorldHint=True,
    )
    local = ToolAnnotations(
        readOnlyHint=True, destructiveHint=False, idempotentHint=True, openWorldHint=False
    )
    mcp.add_tool(tools.ask, title="Ask a council", annotations=reads)
    mcp.add_tool(tools.list_councils, title="List the councils", annotations=local)
    mcp.add_tool(tools.explain_last_verdict, title="Explain the last verdict", annotations=local)
    _add_resources(mcp, tools)
    _add_prompts(mcp, server)
    send_error_codes(mcp)
    return mcp


def _add_resources(mcp: FastMCP[Any], tools: CouncilTools) -> None:
    as_json = "application/json"

    @mcp.resource("council://councils", title="The councils", mime_type=as_json)
    async def councils() -> list[dict[str, Any]]:
        """The councils that can be asked, with their members."""
        return [one.model_dump(mode="json") for one in await tools.describe_all()]

    @mcp.resource("council://councils/{name}", title="A council", mime_type=as_json)
    async def council(name: str) -> dict[str, Any]:
        """One council: who sits in it, and how it counts votes."""
        try:
            return (await tools.describe(name)).model_dump(mode="json")
        except Refusal as refusal:
            raise ValueError(refusal.body["error"]["message"]) from None

    @mcp.resource("council://last-verdict", title="The last verdict", mime_type=as_json)
    async def last_verdict() -> dict[str, Any]:
        """How the last answer of this session came about; empty before the first question."""
        try:
            return (await tools.explain(mcp.get_context())).model_dump(mode="json")
        except ToolError:
            return {}


def _add_prompts(mcp: FastMCP[Any], server: ServerState) -> None:
    @mcp.prompt(title="A second opinion of the council")
    def second_opinion(question: PromptQuestion, council: PromptCouncil = "") -> str:
        """Ask the council, and compare its answer with your own."""
        named = f" with council {council!r}" if council else ""
        return (
            f"First answer this yourself, in a few sentences. Then call the tool `ask`{named}, and "
            "put everything it needs into the question. Say where the council agrees with you, "
            f"where it does not, who dissented, and what you conclude.\n\n{question}"
        )

    @mcp.prompt(title="Let the council review this")
    def review(text: PromptText, council: PromptCouncil = "") -> str:
        """Have the council find what is wrong with a text, a plan or some code."""
        named = f" with council {council!r}" if council else ""
        return (
            f"Call the tool `ask`{named} with the question what is wrong or missing in the text "
            "below, and with the whole text. List what it found, the most serious first, and say "
            f"which points were disputed.\n\n{text}"
        )

    @mcp.completion()  # type: ignore[no-untyped-call, untyped-decorator]
    async def complete(
        reference: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        if argument.name not in ("council", "name"):
            return None
        names = await server.catalogue.names()
        return Completion(values=[one for one in names if one.startswith(argument.value)][:100])


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
    lines.append(
        f"{counted(status.usage.calls, 'call')}, {status.seconds:.1f} s, by {status.written_by!r}."
    )
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


def _scope(context: ToolContext) -> Scope | None:
    """The scope of the HTTP request that a call came with; None over stdio."""
    request = context.request_context.request
    return request.scope if request is not None else None


def _owner(context: ToolContext) -> str:
    """The name of the key that the request came with."""
    return str((_scope(context) or {}).get(OWNER, ""))
