"""From a request to a question: who asks, in which thread, of which council."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, SystemMessage
from starlette.requests import Request

from mom_council.councils.schema import Council
from mom_council.deliberation.answer_check import json_fault, json_part, make_validator
from mom_council.deliberation.context import AnswerForm
from mom_council.models.capabilities import adapt_params, with_met_wishes
from mom_council.runs.ask import People
from mom_council.runs.http_guard import fault_in_sender, is_loopback_host
from mom_council.server.answer import ServedQuestion, WholeAnswer
from mom_council.server.body import not_called
from mom_council.server.errors import Refusal, dumps, to_error_response, unsupported, wrong
from mom_council.server.repeats import RepeatableRequest, repeatable
from mom_council.server.request_log import current_request
from mom_council.server.state import ADMIN_VARIABLE, EVERYONE, Keys, ServerState, is_loopback
from mom_council.server.streams import event
from mom_council.vendors import vendor_of


def checked(outcome: WholeAnswer, form: AnswerForm) -> str:
    """The answer's text; of a JSON answer the JSON alone.

    Raises:
        Refusal: it is no such JSON: no model of the council held to the schema.
    """
    if form.must_call and not outcome.answered.calls:
        raise not_called()
    if not form.json_request or outcome.finish != "stop":
        return outcome.text
    if fault := json_fault(outcome.text, form):
        raise _unmet(fault)
    return json_part(outcome.text)


def check_schema(schema: dict[str, Any], names: Mapping[str, str]) -> None:
    """Refuse a schema that nothing can be checked against; `names`: where the request has it.

    Raises:
        Refusal: it is no JSON schema.
    """
    place = names.get("json_schema", "response_format.json_schema.schema")
    try:
        make_validator(schema)
    except ValueError as error:
        raise wrong(
            f"Invalid schema for '{place}': {str(error).splitlines()[0][:300]}",
            place,
            "invalid_json_schema",
        ) from None


def _unmet(why: str) -> Refusal:
    return Refusal(
        502,
        f"The council's answer does not have the form that was asked for: {why}.",
        code="form_not_met",
        headers={"x-should-retry": "false"},
    )


THREAD_HEADER = "x-thread-id"

REPEAT_HEADER = "idempotency-key"
REPLAYED_HEADER = "idempotency-replayed"
"""Says that an answer is the one of an earlier request with the same key."""

_REPEAT_KEY = re.compile(r"[!-~]{1,255}")
_THREAD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")
_KEY_IN_ADDRESS = re.compile(r"key|token|secret|auth|pass", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who makes a request."""

    owner: str
    """The name of the key; empty where none is asked for."""
    thread: str | None = None
    """The thread that the request names."""

    def store_name(self, thread: str) -> str:
        """The thread's name in the store: nobody reaches into another key's threads.

        Raises:
            Refusal: it cannot be a thread's name.
        """
        if not _THREAD.fullmatch(thread):
            raise wrong(
                "A thread's name has 1 to 64 letters, digits, '-', '_' and '.'.",
                THREAD_HEADER,
                "invalid_value",
            )
        return f"{self.owner}/{thread}" if self.owner else thread

    def client_name(self, stored: str | None) -> str | None:
        """The thread's name as the client knows it."""
        if stored is None or not self.owner:
            return stored
        return stored.removeprefix(f"{self.owner}/")


def state_of(request: Request) -> ServerState:
    """The server that the request came to."""
    server: ServerState = request.app.state.server
    return server


def visitor_of(request: Request) -> Visitor:
    """Who makes a request of the endpoint.

    Raises:
        Refusal: nobody who may; see `admitted`.
    """
    owner = admitted(request, state_of(request).keys)
    if record := current_request():
        record.key = owner
    return Visitor(owner, request.headers.get(THREAD_HEADER))


def operator_of(request: Request) -> Visitor:
    """Who may change the server: whoever brings MOM_ADMIN_KEY.

    Raises:
        Refusal: there is no such key, or another one was sent.
    """
    keys = Keys.of_operator()
    if not keys:
        raise Refusal(403, f"Set {ADMIN_VARIABLE} to use this address.", code="no_admin_key")
    owner = admitted(request, keys)
    if record := current_request():
        record.key = owner
    return Visitor(owner)


def admitted(request: Request, keys: Keys) -> str:
    """Whose key a request brings; empty where none is asked for.

    Raises:
        Refusal: nobody who may: no key or a wrong one, a key in the address, another machine or
            another site where no key is asked for.
    """
    if any(_KEY_IN_ADDRESS.search(name) for name in request.query_params):
        raise Refusal(
            400,
            "A key does not belong into an address, which ends up in logs: send it as "
            "'Authorization: Bearer ...', and make a new one.",
            code="key_in_url",
        )
    if len(request.headers.getlist("host")) != 1:
        raise Refusal(400, "A request names one host, in one Host header.", code="bad_host")
    if keys:
        owner = keys.owner(request.headers.get("authorization"))
        if owner is None and (key := request.headers.get("x-api-key")):  # as Anthropic's clients
            owner = keys.owner(f"Bearer {key}")
        if owner is None:
            raise Refusal(
                401,
                "Incorrect API key provided. Send one of the server's keys as "
                "'Authorization: Bearer ...'.",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return owner
    _refuse_others(request)
    return EVERYONE


def _refuse_others(request: Request) -> None:
    """Without keys only this machine may ask, and no web page in its browser."""
    near = request.client is None or is_loopback(request.client.host)
    fault = fault_in_sender(request.scope, is_loopback_host)
    if not near or fault:
        raise Refusal(
            403,
            f"{fault or 'This is another machine.'} Without keys this server answers programs on "
            "127.0.0.1 and localhost alone; its owner sets MOM_SERVER_KEYS.",
            code="not_local",
        )


async def read_question(
    server: ServerState,
    visitor: Visitor,
    model: str,
    messages: Sequence[AnyMessage],
    *,
    form: AnswerForm,
    seed: int | None = None,
    thread: str | None = None,
    choices: int = 1,
    people: People | None = None,
    request: Request | None = None,
    aloud: bool = False,
) -> ServedQuestion:
    """The question that a request puts.

    Args:
        server: where it is asked.
        visitor: who asks.
        model: the council's name.
        messages: the conversation.
        form: of the answer.
        seed: of the run.
        thread: that the request names.
        choices: answers that are wanted.
        people: who can answer what the council asks a person.
        request: the HTTP request, which an Idempotency-Key lets come again.
        aloud: whether the client is told what the council thinks.

    Raises:
        Refusal: the model or the thread cannot be, or the key stands for another request.
        MixtureError: the council cannot sit, or threads cannot be kept.
    """
    if record := current_request():
        record.keep_out(messages)
    if form.json_schema is not None:
        check_schema(form.json_schema, form.client_names)  # refused before it costs anything
    if seed is not None:
        seed %= 2**32
    if thread is None:
        repeat = await _repeat(server, visitor, request, None)
        saver = (await server.repeats()).saver if repeat else None
        served = await server.catalogue.find(model, saver)
        owner = visitor.owner
        _note(served.model, None)
        _tell_unmet(server, request, served.council, form)
        return ServedQuestion(served, messages, form, seed, None, people, owner, repeat, aloud)
    if not server.settings.threads:
        raise unsupported(
            THREAD_HEADER, "No threads are kept here; use those of the LangGraph server itself."
        )
    if choices > 1:
        raise unsupported("n", "A thread goes on with one answer; ask for one choice.")
    stored = visitor.store_name(thread)
    served = await server.catalogue.find(model, await server.saver())
    repeat = await _repeat(server, visitor, request, stored)
    new, owner = _new_ones(messages), visitor.owner
    _note(served.model, thread)
    _tell_unmet(server, request, served.council, form)
    return ServedQuestion(served, new, form, seed, stored, people, owner, repeat, aloud)


def _tell_unmet(
    server: ServerState, request: Request | None, council: Council, form: AnswerForm
) -> None:
    """Add to the fields that are not used what the synthesizer's model does not take."""
    model = council.models[council.synthesizer.model]
    taken = adapt_params(model, {**model.params, **with_met_wishes(model, form.params)})
    names = vendor_of(model.provider).names
    unmet = [name for name in form.params if names.get(name, name) not in taken]
    unmet = [form.client_names.get(name, name) for name in unmet]
    if request is not None and unmet:
        earlier = getattr(request.state, "ignored", "")
        request.state.ignored = ", ".join([*filter(None, [earlier]), *unmet])
        server.log_ignored(unmet)


def _note(council: str, thread: str | None) -> None:
    """Tell the log which council is asked, in which thread."""
    if record := current_request():
        record.council, record.thread = council, thread or ""


async def _repeat(
    server: ServerState, visitor: Visitor, request: Request | None, thread: str | None
) -> RepeatableRequest | None:
    """The request as one that may come again; None where it brings no Idempotency-Key.

    Raises:
        Refusal: the key cannot be one, or stands for another request.
    """
    key = None if request is None else request.headers.get(REPEAT_HEADER)
    if request is None or key is None:
        return None
    if not _REPEAT_KEY.fullmatch(key):
        raise wrong(
            "An Idempotency-Key has 1 to 255 visible characters of ASCII.",
            REPEAT_HEADER,
            "invalid_value",
        )
    content = request.url.path.encode() + b"\n" + request.state.body
    repeat = await (await server.repeats()).claim(repeatable(visitor.owner, key, content, thread))
    if repeat.answer is not None:
        request.state.replayed = True
    return repeat


def _new_ones(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """What a thread does not hold yet: all that comes after the last answer.

    The application's own words get fixed names, so that they are replaced and not repeated.
    """
    answers = [place for place, message in enumerate(messages) if isinstance(message, AIMessage)]
    instructions = [message for message in messages if isinstance(message, SystemMessage)]
    named = [
        message.model_copy(update={"id": f"instructions-{number}"})
        for number, message in enumerate(instructions)
    ]
    after = messages[answers[-1] + 1 :] if answers else messages
    return [*named, *(m for m in after if not isinstance(m, SystemMessage))]


def stream_failures(server: ServerState, visitor: Visitor) -> dict[str, Any]:
    """What a stream does when something goes wrong."""
    candid = server.settings.candid
    return {
        "refuse": lambda error: to_error_response(error, candid=candid).response(),
        "broken": lambda error: event(dumps(to_error_response(error, candid=candid).body)),
        "left": server.metrics.left.inc,
    }
