"""`moa_config.yaml` of moa-llm: layers of neurons, one aggregation, one annotator.

Its template for the aggregation may be in either of two places. Its `.env.local` says where the
models are and holds the key to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from mom_council.councils.importers.foreign import (
    Address,
    Draft,
    Foreign,
    ModelSection,
    Names,
    Report,
    plain,
    seen,
)
from mom_council.councils.refusals import Problem, refusal
from mom_council.errors import CouncilError
from mom_council.redaction import fault_in_address

QUESTION, ANSWERS, WEIGHTS = "{user_query}", "{responses}", "{response_weights}"


def template_of(prompt: str, template: str | None, report: Report) -> tuple[str, str]:
    """Who writes, and what it is asked: the system prompt and the template, each in its place.

    A system prompt with places in it is a template. What a template lacks is added at its end, for
    an aggregation that never sees the answers, or the question, cannot aggregate.
    """
    place = "aggregation_layer.aggregation_prompt"
    holds = any(name in prompt for name in (QUESTION, ANSWERS, WEIGHTS))
    if not template and holds:
        place = "aggregation_layer.system_prompt"
        report.turn(place, "has places to fill, so it is the synthesizer's template")
        prompt, template = "", prompt
    elif holds:
        says = "its places are not filled: `aggregation_prompt` is the template"
        report.turn("aggregation_layer.system_prompt", says)
    if not template or not template.strip():
        return prompt, ""
    filled = template.strip()
    for name in (QUESTION, ANSWERS):
        if name not in filled:
            filled += f"\n\n{name}"
            report.turn(place, f"has no {name}, which is added at its end")
    return prompt, filled


KEYS = ("PROVIDER_API_KEY", "BASE_URL")
KEY_ENV = "PROVIDER_API_KEY"
USUAL = "https://api.together.xyz/v1"
"""Where moa-llm asks when nobody says where."""

Temperature = Annotated[float, Field(ge=0, le=2)]
Text = Annotated[str, Field(max_length=20_000)]


class Neuron(Foreign):
    """What its neurons, its annotator and its aggregation share."""

    model: str = Field(min_length=1, description="the model's name at its provider")
    system_prompt: Text | None = None
    prompt: Text | None = None
    temperature: Temperature | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    base_url: Address | None = None


class WeightedNeuron(Neuron):
    """A neuron of a proposal layer."""

    weight: float | None = Field(default=None, ge=0, le=1000)


class Layer(Foreign):
    """Neurons that are asked together."""

    neurons: tuple[WeightedNeuron, ...] = Field(min_length=1, description="who is asked, as a list")


class Aggregation(Neuron):
    """Who writes the answer."""

    aggregation_prompt: str | None = Field(default=None, max_length=40_000)
    shuffle: bool | None = None
    dropout_rate: float | None = Field(default=None, ge=0, lt=1)
    use_weights: bool | None = None


class MoaConfig(Foreign):
    """The file."""

    use_annotator: bool | None = None
    annotator: Neuron | None = None
    proposal_layers: tuple[Layer, ...] = Field(
        min_length=1, max_length=16, description="who proposes, as a list of layers"
    )
    aggregation_layer: Aggregation = Field(description="who writes the answer")
    use_weights: bool | None = None
    base_url: Address | None = None
    pass_corresponding_results: bool | None = None


def read(values: Any, env: Mapping[str, str], origin: str, report: Report) -> Draft:
    """A council that proposes in the same layers, and writes once, without a vote."""
    _refuse_unindented(values, origin)
    config = seen(MoaConfig, values, origin, report)
    values = _Drawing(config, _address(config, env), origin, report).values()
    if env.get(KEY_ENV):
        report.leave(KEY_ENV, "a key is never copied; the council names this variable")
    return Draft(values)


def _refuse_unindented(values: Any, origin: str) -> None:
    """Its manual shows an annotator whose lines are not indented, so that they belong to nobody."""
    if isinstance(values, Mapping) and values.get("annotator", "") is None:
        astray = [
            key for key in ("model", "temperature", "system_prompt", "prompt") if key in values
        ]
        if astray:
            says = "stands at the top of the file; indent it, so that it belongs to `annotator`"
            raise refusal(origin, [Problem((key,), says) for key in astray])


def _address(config: MoaConfig, env: Mapping[str, str]) -> str:
    url = config.base_url or env.get("BASE_URL") or USUAL
    if fault := fault_in_address(url):
        raise refusal(".env", [Problem(("BASE_URL",), fault.replace("`api_key_env`", "it"))])
    return url.rstrip("/")


class _Drawing:
    """The council, as it is drawn up."""

    def __init__(self, config: MoaConfig, url: str, origin: str, report: Report) -> None:
        self.found, self.url, self.origin, self.report = config, url, origin, report
        self.voices, self.names = ModelSection(), Names(report)

    def values(self) -> dict[str, Any]:
        characters, layers = self._seats()
        parts: dict[str, Any] = {
            "models": self.voices.written,
            "characters": characters,
            "layers": layers if len(layers) > 1 else None,
            "annotator": self._annotator(),
            "deliberation": {"method": "none", "rounds": {"min": 1, "max": 1}, "quorum": 1.0},
            "synthesizer": self._synthesizer(len(characters), len(layers)),
            "thermal": None,
        }
        self.report.turn("deliberation", "method: none, as there; borda and its like would vote")
        if self.found.pass_corresponding_results and len(layers) > 1:
            parts["deliberation"]["hears"] = "opposite"
        elif len(layers) > 2:  # the second layer hears one layer either way
            parts["deliberation"]["hears"] = "every"
        return {key: value for key, value in parts.items() if value is not None or key == "thermal"}

    def _seats(self) -> tuple[list[dict[str, Any]], list[list[str]]]:
        characters: list[dict[str, Any]] = []
        layers: list[list[str]] = []
        for row, layer in enumerate(self.found.proposal_layers):
            layers.append([])
            for place, neuron in enumerate(layer.neurons):
                where = f"proposal_layers[{row}].neurons[{place}]"
                character = self._character(neuron, where)
                layers[-1].append(character["name"])
                characters.append(character)
        return characters, layers

    def _character(self, neuron: WeightedNeuron, where: str) -> dict[str, Any]:
        short = plain(neuron.model.rpartition("/")[2], usual="Neuron")
        character: dict[str, Any] = {
            "name": self.names.take(short),
            "model": self._voice(neuron, max_tokens=neuron.max_tokens),
            "personality": self._prompt_text(neuron, where),
            "temperature": neuron.temperature,
            "weight": neuron.weight if self._weighs() else None,
        }
        return {key: value for key, value in character.items() if value not in (None, "")}

    def _weighs(self) -> bool:
        inner, outer = self.found.aggregation_layer.use_weights, self.found.use_weights
        return (inner if inner is not None else outer) is not False

    def _annotator(self) -> dict[str, Any] | None:
        uses_it, annotator = self.found.use_annotator, self.found.annotator
        if annotator is None:
            if uses_it:
                says = "is missing, and `use_annotator` asks for it: name its model"
                raise refusal(self.origin, [Problem(("annotator",), says)])
            return None
        if not uses_it:
            self.report.leave("annotator", "`use_annotator` does not ask for it")
            return None
        key = self._voice(
            annotator, temperature=annotator.temperature, max_tokens=annotator.max_tokens
        )
        prompt = self._prompt_text(annotator, "annotator")
        return {"model": key, **({"personality": prompt} if prompt else {})}

    def _synthesizer(self, seats: int, layers: int) -> dict[str, Any]:
        last = self.found.aggregation_layer
        key = self._voice(last, temperature=last.temperature, max_tokens=last.max_tokens)
        prompt, template = template_of(
            self._prompt_text(last, "aggregation_layer"), last.aggregation_prompt, self.report
        )
        section: dict[str, Any] = {"model": key, "personality": prompt, "template": template}
        section = {name: value for name, value in section.items() if value}
        section["shuffle"] = bool(last.shuffle)
        if last.dropout_rate and seats == 1:
            says = "would leave nobody: there is one neuron"
            self.report.leave("aggregation_layer.dropout_rate", says)
        elif last.dropout_rate:
            section["omit"] = last.dropout_rate
            says = "`synthesizer.omit`: a response is left out, as there, but never all of them"
            self.report.turn("aggregation_layer.dropout_rate", says)
        if layers > 1:
            section["reads"] = "every"
        if not self._weighs() and any(
            n.weight for w in self.found.proposal_layers for n in w.neurons
        ):
            self.report.leave("weight", "`use_weights` is false, so every neuron counts the same")
        return section

    def _voice(self, neuron: Neuron, **params: Any) -> str:
        url = (neuron.base_url or self.url).rstrip("/")
        if urlsplit(url).netloc != urlsplit(self.url).netloc:
            whose = f"{urlsplit(url).netloc} is sent {KEY_ENV} too, as there"
            self.report.turn("base_url", f"{whose}; name another variable if it has another key")
        return self.voices.key(
            provider="openai",
            model=neuron.model,
            base_url=url,
            api_key_env=KEY_ENV,
            params={name: value for name, value in params.items() if value is not None},
        )

    def _prompt_text(self, neuron: Neuron, where: str) -> str:
        if neuron.system_prompt and neuron.prompt and neuron.system_prompt != neuron.prompt:
            self.report.leave(f"{where}.prompt", "`system_prompt` stands beside it and is kept")
        return (neuron.system_prompt or neuron.prompt or "").strip()


__all__ = ["KEYS", "read"]


def read_environment(env: Mapping[str, str], report: Report) -> Draft:
    """Nobody: such a file names no model.

    Raises:
        CouncilError: always.
    """
    raise CouncilError(
        f".env: holds an address and {KEY_ENV} but no model",
        cure="import the moa_config.yaml that goes with it, and what stands here is read along",
    )
