"""`config.py` of LLM-Mixture-of-Agents: two layers of small local models and a final one.

The file is Python and is not run: plain values are read from its syntax, the rest is listed.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field

from mom_council.councils.importers.foreign import (
    Draft,
    Foreign,
    ModelSection,
    Names,
    Report,
    near,
    plain,
    seen,
    short_name,
)
from mom_council.councils.importers.python_values import PythonValues, changed_names
from mom_council.councils.refusals import Problem, refusal
from mom_council.councils.yaml import as_plain
from mom_council.errors import CouncilError


def literals(text: str, origin: str, report: Report) -> dict[str, Any]:
    """Every name of the file's top level with its value, where that is a literal.

    Raises:
        CouncilError: it is no Python.
    """
    names: dict[str, Any] = {}
    computed = PythonValues(text, {}, origin).found
    for statement in _statements(_parse_module(text, origin).body):
        targets, value = _split_assignment(statement)
        if targets is None:
            changed = changed_names(statement)
            if changed and changed <= computed.keys():
                names |= {name: computed[name] for name in changed}
            elif not isinstance(statement, ast.Import | ast.ImportFrom) and not _is_text(statement):
                kind = type(statement).__name__.lower()
                report.leave(f"line {statement.lineno}", f"a {kind} is not run")
            continue
        for target in targets:
            if not isinstance(target, ast.Name):
                report.leave(f"line {statement.lineno}", "only plain names are read")
                continue
            try:
                read = ast.literal_eval(value) if value is not None else None
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                _take_computed(target.id, computed, names, report)
                continue
            if as_plain({target.id: read})[0]:
                report.leave(
                    target.id, "is neither text nor a number, nor a list or mapping of them"
                )
                continue
            if target.id in names:
                report.turn(target.id, "is set twice; the last one counts, as in Python")
            names[target.id] = list(read) if isinstance(read, set | tuple) else read
    return names


def _take_computed(
    name: str, computed: Mapping[str, Any], values: dict[str, Any], report: Report
) -> None:
    """Take what a name holds that is put together of other values."""
    if name in computed and name != "token":
        values[name] = computed[name]
        return
    cure = "write the value out"
    if name == "token":
        cure = "a key comes from the environment alone: HF_TOKEN"
    report.leave(name, f"is computed, and the file is not run; {cure}")
    values.pop(name, None)


def names_models(text: str) -> bool:
    """Whether a Python file sets the list of models of the first layer itself."""
    try:
        body = _parse_module(text, "").body
    except CouncilError:
        return False
    targets = [one for part in _statements(body) for one in _split_assignment(part)[0] or ()]
    return any(isinstance(one, ast.Name) and one.id == "layer1_model_ids" for one in targets)


def _parse_module(text: str, origin: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in somebody's strings
            return ast.parse(text)
    except SyntaxError as error:
        says = f"line {error.lineno}: is no Python ({error.msg}); look at the quotes and brackets"
        raise CouncilError(f"{origin}: {says}") from None
    except (ValueError, RecursionError, MemoryError):
        raise CouncilError(f"{origin}: is no Python that can be read") from None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a file, and those of its classes, whose settings are read as the file's."""
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            yield from _statements(statement.body)
        else:
            yield statement


def _split_assignment(statement: ast.stmt) -> tuple[list[ast.expr] | None, ast.expr | None]:
    if isinstance(statement, ast.Assign):
        return statement.targets, statement.value
    if isinstance(statement, ast.AnnAssign):
        return [statement.target], statement.value
    return None, None


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


class ConfigPy(Foreign):
    """The names that its manual knows."""

    user_query: str | tuple[str, ...] = ()
    layer1_model_ids: tuple[str, ...] = Field(
        min_length=1, max_length=32, description="those who propose, as a list"
    )
    layer2_model_ids: tuple[str, ...] = Field(default=(), max_length=32)
    final_model_ids: str | tuple[str, ...] = ()
    final_model_id: str | tuple[str, ...] = ()
    sys_initial_prompt: str | None = Field(default=None, max_length=20_000)
    final_sys_initial_prompt: str | None = Field(default=None, max_length=20_000)
    agg_sys_prompt: str | None = Field(default=None, max_length=20_000)
    cache_path: str | None = None
    token: Any = None


class Generation(Foreign):
    """The settings of one layer, without their prefix."""

    max_new_tokens: int | None = Field(default=None, ge=1)
    num_beams: int | None = Field(default=None, ge=1)
    early_stopping: bool | Literal["never"] | None = None
    no_repeat_ngram_size: int | None = Field(default=None, ge=0)
    num_return_sequences: int | None = Field(default=None, ge=1)
    do_sample: bool | None = None
    top_k: int | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    temperature: float | None = Field(default=None, ge=0, le=2)


class Layer1(Generation):
    """Those of the first layer."""

    model_config = ConfigDict(alias_generator=lambda name: f"layer1_{name}")


class Layer2(Generation):
    """Those of the second."""

    model_config = ConfigDict(alias_generator=lambda name: f"layer2_{name}")


class Final(Generation):
    """Those of the final model."""

    model_config = ConfigDict(alias_generator=lambda name: f"final_{name}")


_BEAMS = ("beams", "return_sequences")

LAYERS: dict[str, type[Generation]] = {"layer1_": Layer1, "layer2_": Layer2, "final_": Final}


def read(text: str, env: Mapping[str, str], origin: str, report: Report) -> Draft:
    """A council of its layers, with the final model as the synthesizer."""
    values = literals(text, origin, report)
    for note in report.left:
        needed = note.place in ("layer1_model_ids", "final_model_ids", "final_model_id")
        if needed and not any(name.startswith(note.place.removesuffix("s")) for name in values):
            raise refusal(origin, [Problem((note.place,), note.says)])
    rest, settings = _split_layer_settings(values, origin, report)
    templates = {key: rest.pop(key) for key in [*rest] if key.endswith("chat_template")}
    config = seen(ConfigPy, rest, origin, report)
    voices, names = _Voices(templates), Names(report)
    characters: list[dict[str, Any]] = []
    layers: list[list[str]] = []
    prompts = (config.sys_initial_prompt, config.agg_sys_prompt)
    for prefix, ids, personality in zip(
        LAYERS, (config.layer1_model_ids, config.layer2_model_ids), prompts, strict=False
    ):
        layers.append([])
        for model in ids:
            character = {
                "name": names.take(plain(short_name(model), usual="Proposer")),
                "model": voices.local(model, settings[prefix]),
                **({"personality": personality.strip()} if personality else {}),
            }
            characters.append(character)
            layers[-1].append(character["name"])
    values = {
        "models": voices.written,
        "characters": characters,
        "deliberation": {"method": "none", "rounds": {"min": 1, "max": 1}, "quorum": 1.0},
        "synthesizer": _synthesizer(config, settings["final_"], voices, origin, report),
        "thermal": None,
    }
    if len(filled := [layer for layer in layers if layer]) > 1:
        values["layers"] = filled
    report.turn("deliberation", "method: none, as there; borda and its like would vote")
    voices.tell(report)
    _tell(config, report)
    return Draft(values, _several(config.user_query))


def _split_layer_settings(
    values: dict[str, Any], origin: str, report: Report
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Whatever else there is, and the settings of each layer."""
    rest, settings = dict(values), {}
    others = [*ConfigPy.model_fields]
    for prefix, kind in LAYERS.items():
        # A list of models and a prompt have such a prefix too, be they spelt right or not.
        own = [key for key in rest if key.startswith(prefix) and not near(key, others)]
        section = seen(kind, {key: rest.pop(key) for key in own}, origin, report)
        fields = {name: getattr(section, name) for name in Generation.model_fields}
        settings[prefix] = {name: value for name, value in fields.items() if value is not None}
        beams, several = (settings[prefix].get(f"num_{what}", 1) for what in _BEAMS)
        if 1 < beams < several:
            says = f"there are {beams} beams, which give no more answers than that"
            report.leave(f"{prefix}num_return_sequences", says)
            del settings[prefix]["num_return_sequences"]
    return rest, settings


class _Voices(ModelSection):
    """Local models, each with the chat template that is called after it."""

    def __init__(self, templates: Mapping[str, Any]) -> None:
        super().__init__()
        self._templates = templates
        self._used: set[str] = set()

    def local(self, model: str, params: Mapping[str, Any]) -> str:
        """The key of a model with its layer's settings."""
        settings = dict(params)
        for name, template in self._templates.items():
            whose = name.removesuffix("chat_template").strip("_").lower()
            if isinstance(template, str) and whose and whose in model.lower():
                settings["chat_template"] = template
                self._used.add(name)
        # One lane: small models take turns on one machine.
        return self.key(
            provider="huggingface",
            model=model,
            params=settings,
            lane="local",
            concurrency=1,
            timeout=600,
        )

    def tell(self, report: Report) -> None:
        """Which templates are nobody's."""
        for name in self._templates:
            if name not in self._used:
                report.leave(name, "no model has that name in its own; each uses its own template")
            else:
                report.turn(name, "is the chat template of the models that have that name")


def _synthesizer(
    config: ConfigPy, params: dict[str, Any], voices: _Voices, origin: str, report: Report
) -> dict[str, Any]:
    finals = _several(config.final_model_ids) or _several(config.final_model_id)
    if not finals:
        raise refusal(origin, [Problem(("final_model_ids",), "is missing: who writes the answer")])
    keys = [voices.local(model, params) for model in finals]
    if len(keys) > 1:
        voices.written[keys[0]]["fallbacks"] = [key for key in keys[1:] if key != keys[0]]
        report.turn("final_model_ids", "the first writes, the others when it does not answer")
    prompts = [
        text.strip() for text in (config.final_sys_initial_prompt, config.agg_sys_prompt) if text
    ]
    return {"model": keys[0], **({"personality": "\n\n".join(prompts)} if prompts else {})}


def _tell(config: ConfigPy, report: Report) -> None:
    if config.cache_path is not None:
        report.leave(
            "cache_path", "the libraries' own variable says where weights are kept: HF_HOME"
        )
    if config.token is not None:
        report.leave("token", "a key is never copied; set HF_TOKEN")


def _several(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
