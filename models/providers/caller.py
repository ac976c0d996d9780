"""Chat models that a program hands over as objects: any of LangChain's classes, or its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mom_council.councils.loader import find_council, load_council
from mom_council.councils.refusals import nearest
from mom_council.councils.schema import Council, Model
from mom_council.errors import CouncilError, UnknownNameError
from mom_council.vendors import vendor_of
from mom_council.vendors.local import CALLER
from mom_council.vendors.profile import ANSWER_BOUNDS

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from mom_council.models.providers import Opening

_OF_THE_ENTRY = frozenset({"provider", "model", "base_url", "api_key_env", "params"})
_ABILITIES = frozenset({"vision", "tools", "structured", "context"})


def load_with_objects(
    source: Council | str | Mapping[str, Any], models: Mapping[str, BaseChatModel]
) -> Council:
    """Load a council some of whose models are objects of the caller's.

    An object takes the place of the entry with its key; time limits, retries, fallbacks, lane and
    price of that entry hold for it. Where there is no entry, the usual ones hold.

    Args:
        source: as `load_council` takes it.
        models: the chat models, by the keys that the council's characters use.

    Raises:
        CouncilError: as `load_council`; also for an object that is no chat model.
        UnknownNameError: nothing in the council uses a key.
    """
    values = _written(source)
    entries = dict(values.get("models") or {})
    used = {*_texts({key: value for key, value in values.items() if key != "models"}), *entries}
    for key, chat in models.items():
        _check(key, chat)
        if key not in used:
            raise UnknownNameError(
                f"nothing in the council uses a model {key!r}", cure=nearest(key, sorted(used))
            )
        entries[key] = _entry(entries.get(key), chat)
    council = load_council({**values, "models": entries})
    return with_chat_models(council, models)


def with_chat_models(council: Council, models: Mapping[str, Any]) -> Council:
    """The council with these objects in its entries of `provider: caller`."""
    entries = {
        key: entry.with_chat_model(models[key])
        if key in models and vendor_of(entry.provider).from_caller
        else entry
        for key, entry in council.models.items()
    }
    return council.model_copy(update={"models": entries})


def refuse_missing_models(council: Council) -> None:
    """See that every model of the caller's is there.

    Raises:
        CouncilError: one is not.
    """
    for key, entry in council.models.items():
        if vendor_of(entry.provider).from_caller and entry.chat_model is None:
            raise CouncilError(
                f"model {key!r} is handed over by the program, and is not there",
                cure=f"council(..., models={{{key!r}: a chat model}})",
            )


def open_chat(opening: Opening) -> BaseChatModel:
    """The caller's object, with the parameters that its class has a field for.

    Raises:
        CouncilError: it is not there.
    """
    chat: BaseChatModel | None = opening.spec.chat_model
    if chat is None:
        raise CouncilError(
            f"{opening.spec.model!r} is handed over by the program, and is not there",
            cure="council(..., models={key: a chat model})",
        )
    update = {
        field: value
        for name, value in opening.params.items()
        if (field := _field(type(chat), name)) is not None
    }
    return chat.model_copy(update=update) if update else chat


def _field(kind: type[BaseChatModel], name: str) -> str | None:
    """The field of a class in which a parameter stands, under whatever name."""
    names = ANSWER_BOUNDS if name in ANSWER_BOUNDS else (name,)
    for field, about in kind.model_fields.items():
        if field in names or about.alias in names:
            return field
    return None


def _written(source: Council | str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(source, Council):
        return source.model_dump(mode="json", exclude_unset=True)
    if isinstance(source, Mapping):
        return dict(source)
    from mom_council.councils.yaml import read_yaml

    text = find_council(source)
    values = read_yaml(text.text, text.origin)
    if not isinstance(values, dict):
        load_council(source)  # says what is wrong
    return dict(values)


def _texts(value: Any) -> Iterator[str]:
    """Every text in some values, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _check(key: str, chat: object) -> None:
    from langchain_core.language_models import BaseChatModel

    if not isinstance(chat, BaseChatModel):
        raise CouncilError(
            f"models: {key!r} is a {type(chat).__name__}, and must be a LangChain chat model",
            cure="hand over the model itself, such as init_chat_model('openai:gpt-5')",
        )


def _entry(written: Any, chat: BaseChatModel) -> dict[str, Any]:
    """The council's entry of an object: the rules that stand there, and what the object can do."""
    entry: dict[str, Any] = {}
    if isinstance(written, Model):
        written = written.model_dump(mode="json", exclude_unset=True)
    if isinstance(written, Mapping):
        entry = dict(written)
    if entry.get("provider") != CALLER.name:
        # What is said of another vendor's model does not hold for this one.
        for name in _OF_THE_ENTRY | _ABILITIES:
            entry.pop(name, None)
    entry |= {"provider": CALLER.name, "model": _name(chat)}
    return {**_abilities(chat), **entry}


def _name(chat: BaseChatModel) -> str:
    for field in ("model_name", "model", "model_id"):
        name = getattr(chat, field, None)
        if isinstance(name, str) and name:
            return name
    return type(chat).__name__


def _abilities(chat: BaseChatModel) -> dict[str, Any]:
    """What LangChain's profile of the model says of it."""
    profile: Mapping[str, Any] = chat.profile or {}
    abilities = {
        "vision": profile.get("image_inputs"),
        "tools": profile.get("tool_calling"),
        "context": profile.get("max_input_tokens"),
        "structured": "text" if profile.get("structured_output") is False else None,
    }
    return {name: value for name, value in abilities.items() if value is not None}
