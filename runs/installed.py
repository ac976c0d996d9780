"""Which models are installed, and which of them are asked when nobody named any.

The models are those of an Ollama, and those of a server that speaks OpenAI's protocol. If a server
does not answer, nothing fails: then it has none.

The choice is pure. Out are models that do not chat (embeddings, code completion, base models,
filters) and those that do not fit into memory. Of the rest the strongest of up to three makers are
asked, as models of one maker make the same mistakes. A model far below the best is left out:
on MMLU-Pro a plain vote of one strong and four weak models was right in 56.3 % and the strong one
alone in 64.0 % (`docs/votes.md`). Where nothing else comes near the best, one is enough.

How strong a model is, is guessed from its active and all parameters, its generation and how far its
weights are rounded. The unit is one doubling of parameters in a model of 2024.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mom_council.models.memory import ModelMemory, memory_for_models
from mom_council.models.providers.ollama_server import ask_ollama
from mom_council.models.resolved import is_near
from mom_council.vendors import VENDORS
from mom_council.vendors.openai import OPENAI

TIMEOUT = 0.5
"""Seconds that a question may be held up by a server that does not answer."""

_MOST_DESCRIBED = 32
"""Models whose abilities are asked for one by one, where the list does not tell them."""

_NOT_FOR_CHAT = (
    (r"embed|minilm|(^|[/-])(bge|gte|e5)-|paraphrase-|jina-|colbert", "it is for embeddings"),
    (r"rerank|reward|(^|[-:])prm", "it sorts texts"),
    (r"guard|safeguard|shieldgemma|minicheck", "it checks texts"),
    (r"ocr|moondream|nuextract|reader-lm|translategemma|functiongemma", "it has one special task"),
    (r"sqlcoder|nsql|starcoder(?!2:.*instruct)", "it completes code and does not chat"),
    (r":(.*-)?(code|python|fim)(-|$)|^codegemma:2b", "it completes code and does not chat"),
    (r"(-|:)(base|text|pt|pretrained|foundation)(-|:|$)", "it is a base model and does not chat"),
    (r"whisper|(^|[/:-])(tts|flux|sdxl|sd3)|diffusion", "it does not write text"),
)
"""Parts of the names of models that do not chat, and why not."""
_FAMILIES_NOT_FOR_CHAT = ("bert", "roberta", "embed", "clip", "t5")


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that is on this machine."""

    name: str
    size: int
    """Bytes."""
    family: str = ""
    parameters: float | None = None
    """Billions; None: nobody said."""
    quantization: str = ""
    abilities: tuple[str, ...] = ()
    """What its server says that it can: completion, tools, vision, thinking, insert, embedding."""
    tokenizer: str = ""
    """How it cuts text, where its server was asked; models built on one base share it."""

    @property
    def title(self) -> str:
        """Its name as people write it."""
        return self.name.removesuffix(":latest")


@dataclass(frozen=True, slots=True)
class AvailableModels:
    """What could be asked. Keys are told by the name of their provider; they are not kept."""

    ollama_url: str | None = None
    """Where Ollama answers; None: it does not."""
    trouble: str = ""
    """What is wrong with an Ollama that is there and does not say which models it has."""
    ollama: tuple[InstalledModel, ...] = ()
    """Its chat models, smallest first."""
    silent: tuple[InstalledModel, ...] = ()
    """Its other models."""
    memory: ModelMemory | None = None
    """How much memory it has for them; None: it has no models."""
    server: str | None = None
    """Where another server that speaks OpenAI's protocol answers."""
    served: tuple[str, ...] = ()
    """The models that it offers for chat."""
    server_key: bool = False
    """Whether a key goes there."""
    keys: tuple[str, ...] = ()
    """Providers whose key and whose package are here."""
    lacking: tuple[str, ...] = ()
    """Providers whose key is here and whose package is not."""
    weights: tuple[InstalledModel, ...] = ()
    """Downloaded, smallest first; none where llama.cpp is not installed."""

    @property
    def server_trouble(self) -> str:
        """What is wrong with a local server that speaks OpenAI's protocol; empty: nothing is."""
        if not self.server or self.served or not is_near(self.server):
            return ""
        return f"the local server at {self.server} does not say which models it has"


def install_line(vendor: str) -> str:
    """What to install for a vendor whose key is set."""
    one = VENDORS[vendor]
    return f"{one.key_env} is set too: `{one.install}` to use it."


def why_no_chat(model: InstalledModel) -> str | None:
    """Why a model does not chat; None: it does."""
    if model.abilities and "completion" not in model.abilities:
        return "it is for embeddings" if "embedding" in model.abilities else "it does not chat"
    if any(part in model.family.lower() for part in _FAMILIES_NOT_FOR_CHAT):
        return "it is for embeddings"
    name = model.name.lower().removesuffix(":latest")
    return next((why for part, why in _NOT_FOR_CHAT if re.search(part, name)), None)


async def describe_models(
    url: str, cards: list[dict[str, Any]], env: Mapping[str, str]
) -> tuple[tuple[InstalledModel, ...], ModelMemory | None]:
    """The models of an Ollama, each once, smallest first, and the memory for them."""

    async def describe(card: dict[str, Any], place: int) -> tuple[Any, str]:
        can, name, details = card.get("capabilities"), str(card.get("name")), card.get("details")
        family = details.get("family") if isinstance(details, dict) else ""
        # Models of many makers are built like Llama.
        is_clear = can and (family != "llama" or name.startswith("llama"))
        if is_clear or place >= _MOST_DESCRIBED:
            return can, ""
        about = await ask_ollama("POST", f"{url}/api/show", {"model": name}, seconds=TIMEOUT)
        facts = (about or {}).get("model_info")
        tokenizer = facts.get("tokenizer.ggml.pre") if isinstance(facts, dict) else ""
        return can or (about or {}).get("capabilities"), str(tokenizer or "")

    running, *able = await asyncio.gather(
        ask_ollama("GET", f"{url}/api/ps", seconds=TIMEOUT),
        *(describe(card, place) for place, card in enumerate(cards)),
    )
    loaded = (running or {}).get("models")
    loaded = [one for one in loaded if isinstance(one, dict)] if isinstance(loaded, list) else []
    available: dict[str, InstalledModel] = {}
    try:
        for card, can in zip(cards, able, strict=True):
            # One model may be there by two names.
            available.setdefault(str(card.get("digest") or card["name"]), _installed(card, *can))
    except Exception:  # as above
        return (), None
    memory = await asyncio.to_thread(memory_for_models, loaded, here=_on_this_machine(url), env=env)
    return tuple(sorted(available.values(), key=lambda one: (one.size, one.name))), memory


def _installed(card: dict[str, Any], abilities: Any, tokenizer: str) -> InstalledModel:
    details = card.get("details") or {}
    written = re.fullmatch(r"([\d.]+)\s*([MB])", str(details.get("parameter_size") or "").upper())
    return InstalledModel(
        card["name"],
        int(card.get("size") or 0),
        str(details.get("family") or ""),
        float(written[1]) / (1000 if written[2] == "M" else 1) if written else None,
        str(details.get("quantization_level") or ""),
        tuple(map(str, abilities)) if isinstance(abilities, list) else (),
        tokenizer,
    )


def _on_this_machine(url: str) -> bool:
    return any(f"//{host}" in url for host in ("127.", "localhost", "[::1]"))


async def served_models(
    url: str, env: Mapping[str, str], patience: float = 0.0
) -> tuple[str, ...] | None:
    """The models for chat of the server at `url`, as it lists them; None: it does not answer.

    A server in this house is waited for as long as `patience` says, in seconds.
    """
    key = env.get(str(OPENAI.key_env), "").strip() or None
    seconds = max(TIMEOUT, patience) if is_near(url) else 3.0
    listing = await ask_ollama("GET", f"{url}/models", key=key, seconds=seconds)
    if listing is None:
        return None
    cards = listing.get("data")
    names = [
        str(card["id"])
        for card in (cards if isinstance(cards, list) else ())
        if isinstance(card, dict) and card.get("id")
    ]
    return tuple(one for one in names if why_no_chat(InstalledModel(one, 0)) is None)


MUCH_WEAKER = 1.3
"""Doublings behind the best from which a vote costs more than it gives: 2.5 times fewer parameters,
about ten points on MMLU-Pro within one family (Qwen 2.5: 3B 44, 7B 56, 14B 64)."""

_OVERHEAD = 600_000_000
"""Bytes that a loaded model takes besides its weights: a context of 4,096 tokens and buffers."""
_RAM_SPEED = 30e9
"""Bytes a second that a usual machine reads from its main memory; each token reads the weights."""
_GPU_SPEED = 25.0
"""Bytes a second that a GPU reads for each byte of its memory: larger ones are faster."""
_DISK_SPEED = 1e9
"""Bytes of weights a second that are loaded."""
_SLOWEST = 3.0
"""Tokens a second below which a model is too slow to be waited for."""
_ANSWER, _BALLOT, _THINKING = 250, 100, 4
"""Tokens of an answer and of a ballot; how many times more a model writes that thinks."""

_GENERATIONS = (
    ("gpt-oss", "openai", 1.2),
    ("qwq|qwen-?3|qwen3", "qwen", 0.8),
    ("qwen-?2[.]5-?(coder|vl)", "qwen", 0.2),
    ("qwen-?2[.]5|qwen-?2-math", "qwen", 0.4),
    ("codeqwen|qwen(:|$|1)", "qwen", -0.4),
    ("qwen", "qwen", 0.2),
    ("(meta-)?llama-?(4|3[.]3)", "meta", 0.5),
    ("(meta-)?llama-?3[.]2-vision", "meta", 0.1),
    ("(meta-)?llama-?3[.]", "meta", 0.3),
    ("(meta-)?llama-?3", "meta", 0.1),
    ("codellama|phind", "meta", -1.2),
    ("(meta-)?llama-?2|vicuna|tinyllama|orca-?2|orca-mini", "meta", -0.8),
    ("gemma-?3|medgemma|gemma-?[4-9]", "google", 0.6),
    ("gemma-?2", "google", 0.4),
    ("codegemma|gemma", "google", -0.5),
    ("phi-?4", "microsoft", 0.8),
    ("phi-?3", "microsoft", 0.4),
    ("wizard|phi", "microsoft", -0.2),
    ("magistral|mistral-small-?3|mistral-medium|ministral-?3", "mistral", 0.7),
    ("mistral-small|mistral-large|ministral|devstral|pixtral", "mistral", 0.4),
    ("mistral|mixtral|codestral|mathstral|zephyr|openhermes|neural-chat", "mistral", 0.0),
    ("deepseek-(v3|v2[.]5)", "deepseek", 0.6),
    ("deepseek-r1|deepscaler", "deepseek", 0.3),
    ("deepseek", "deepseek", -0.2),
    ("granite-?4|granite3[.]3", "ibm", 0.4),
    ("granite-code", "ibm", -0.6),
    ("granite", "ibm", 0.1),
    ("command-r7b|command-a|aya-expanse", "cohere", 0.2),
    ("command|aya", "cohere", -0.5),
    ("cogito", "cogito", 0.7),
    ("glm-?4", "zhipu", 0.5),
    ("exaone", "lg", 0.4),
    ("nemotron", "nvidia", 0.4),
    ("hermes-?[34]|dolphin-?3|tulu", "", 0.3),
    ("olmo|internlm|yi-|yi:|falcon-?3|lfm", "", 0.2),
    ("smollm-?3", "smollm", 0.5),
    ("smollm", "smollm", 0.1),
    ("falcon|stablelm|solar|bakllava|llava", "", -0.3),
)
"""Beginnings of names, who made the model (empty: its name says it), and how many doublings it is
ahead of an average model of 2024. The first that fits holds; of an unknown one 0 is assumed."""

_MIXTURES = (
    (r"gpt-oss:?.*120b", 5.1),
    (r"gpt-oss", 3.6),
    (r"a(\d+(?:[.]\d+)?)b", 0.0),  # as it says itself: qwen3:30b-a3b
    (r"qwen3(-coder|-vl)?:(30b|latest-moe)", 3.3),
    (r"qwen3.*235b", 22.0),
    (r"mixtral:?.*8x22b", 39.0),
    (r"mixtral", 12.9),
    (r"granite4:.*tiny-h|granite3.*-moe:3b", 1.0),
    (r"granite4:.*small-h", 9.0),
    (r"granite3.*-moe", 0.4),
    (r"deepseek-(coder-)?v2:(16b|lite|latest)|deepseek-(coder-)?v2$", 2.4),
    (r"deepseek-(v3|r1:671b)", 37.0),
    (r"llama4", 17.0),
    (r"olmoe", 1.3),
)
"""Names of mixtures of experts, and how many billions of their parameters work on one token."""

_SHARED_DESIGNS = r"m?llama|deepseek|mistral"
"""Families of Ollama that say how a model is built, and not who trained it."""
_LLAMA_3 = "llama-bpe"
_DISTILLED = r"^deepseek-r1(?!.*671b)|distill"
"""Names of models that learned from another maker's answers, on the design of their base."""

_SPECIAL = re.compile(r"code|coder|devstral|opencoder|math|medgemma|meditron|medllama")
"""Names of models that chat, but were made for code, mathematics or medicine."""

_THINKS = re.compile(r"deepseek-r1|qwq|qwen3(?!.*(instruct|coder))|gpt-oss|magistral|-think|reason")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which models are asked, and why."""

    seated: tuple[InstalledModel, ...]
    """The weakest first: the last one also writes the answer."""
    reason: str
    """A clause that says why these."""
    left_out: tuple[tuple[InstalledModel, str], ...] = ()
    """The others, each with a clause that says why not."""
    alone: bool = False
    """Whether one is asked because the others are much weaker."""


def billions(model: InstalledModel) -> float:
    """How many parameters a model has, in billions: as its server says, its name, or its size."""
    if model.parameters:
        return model.parameters
    name = model.name.lower()
    if experts := re.search(r"(\d+)x(\d+(?:[.]\d+)?)b", name):
        return float(experts[1]) * float(experts[2]) * 0.85  # they share their attention
    if written := re.search(r"(?<![\w.])e?(\d+(?:[.]\d+)?)([bm])(?![a-z])", name):
        return float(written[1]) / (1000 if written[2] == "m" else 1)
    return model.size / 0.6e9 if model.size else 8.0  # four to five bits a parameter


def active_billions(model: InstalledModel) -> float:
    """How many billions of parameters work on one token; fewer than all in mixtures of experts."""
    every = billions(model)
    for pattern, active in _MIXTURES:
        if match := re.search(pattern, model.name.lower()):
            return min(every, active or float(match[1]))
    return every


def maker(model: InstalledModel) -> str:
    """Who made a model, or the one that it was built on. Models of one maker make the same errors.

    What a server says of its design comes first: a `deepseek-r1:7b` is Qwen's 2.5 that learned from
    DeepSeek's answers. Some designs are used by many makers; there the tokenizer tells Llama 3.
    """
    plain, family = _plain_name(model), model.family.lower()
    generation, built_on = _generation(plain), _generation(family)
    if built_on is not None and built_on[0] and not re.match(_SHARED_DESIGNS, family):
        return built_on[0]
    if family == "llama" and (model.tokenizer == _LLAMA_3 or re.search(_DISTILLED, plain)):
        return "meta"
    if generation is not None and generation[0]:
        return generation[0]
    if tuned := re.search(r"(llama|mistral|mixtral|qwen|gemma|\bphi)-?\d?", plain):
        base = _generation(tuned[0])
        return base[0] if base is not None else tuned[1]
    return plain.partition(":")[0] if family in ("", "llama") else family


def strength(model: InstalledModel) -> float:
    """How strong a model probably is, in doublings of parameters."""
    generation = _generation(_plain_name(model))
    size = billions(model) ** 0.65 * active_billions(model) ** 0.35
    rounding = f"{model.quantization} {model.name.rpartition(':')[2]}".lower()
    coarse = 0.6 if re.search(r"\bi?q[12]|-i?q[12]", rounding) else 0.0
    coarse = coarse or (0.25 if re.search(r"\bi?q3|-i?q3", rounding) else 0.0)
    return math.log2(max(size, 0.01)) + (generation[1] if generation is not None else 0.0) - coarse


def tokens_a_second(model: InstalledModel, memory: ModelMemory) -> float:
    """How fast a model probably writes on a usual machine with this memory."""
    gpu_speed = min(max(_GPU_SPEED * memory.bytes, 150e9), 700e9)
    speed = _RAM_SPEED if memory.kind == "RAM" else gpu_speed
    active = max(model.size, 1) * active_billions(model) / max(billions(model), 0.001)
    return speed / max(active, 0.1e9)


def fits(model: InstalledModel, memory: ModelMemory) -> bool:
    """Whether a model and a usual conversation have room in memory."""
    return model.size * 1.05 + _OVERHEAD <= memory.bytes


def expected_seconds(seated: Sequence[InstalledModel], memory: ModelMemory) -> float:
    """How long three characters on these models take for one round with a vote; a guess."""
    on = [*seated, *[seated[-1]] * (3 - len(seated))]
    seconds = 0.0
    for model, tokens in (*((one, _ANSWER + _BALLOT) for one in on), (seated[-1], _ANSWER)):
        more = _THINKING if _THINKS.search(model.name.lower()) else 1
        seconds += tokens * more / tokens_a_second(model, memory)
    together = sum(model.size * 1.05 + _OVERHEAD for model in seated)
    times = 1 if together <= memory.bytes else 2
    return seconds + times * sum(model.size for model in seated) / _DISK_SPEED


def choose_models(installed: Iterable[InstalledModel], memory: ModelMemory) -> Selection:
    """Up to three models that answer together: strong, of different makers, and such that fit."""
    left_out: list[tuple[InstalledModel, str]] = []
    able: list[InstalledModel] = []
    for model in installed:
        reason = why_no_chat(model)
        if reason is None and not fits(model, memory):
            reason = f"it does not fit into {memory.in_words}"
        elif reason is None and tokens_a_second(model, memory) < _SLOWEST:
            reason = "it would be too slow without a GPU"
        if reason is None:
            able.append(model)
        else:
            left_out.append((model, reason))
    if not able:
        return _smallest(left_out, memory)
    ranked = sorted(able, key=lambda one: (-strength(one), -one.size, one.name))
    enough = strength(ranked[0]) - MUCH_WEAKER
    special = [one for one in ranked if _SPECIAL.search(_plain_name(one))]
    general = [one for one in ranked if one not in special]
    if len([one for one in general if strength(one) >= enough]) >= 2:
        ranked = general
        left_out += [(one, "it is made for a special task") for one in special]
    best = ranked[0]
    seated = [best]
    for model in ranked[1:]:
        reason = _why_not_beside(model, seated)
        if reason is None:
            seated.append(model)
        else:
            left_out.append((model, reason))
    weaker = [model for model, reason in left_out if reason.startswith("it is much weaker")]
    alone = len(seated) == 1 and bool(weaker)
    return Selection(
        tuple(reversed(seated)),
        _why(seated, weaker, alone=alone, many=len(ranked), memory=memory),
        tuple(left_out),
        alone,
    )


_WORTH_PULLING = (
    ("llama3.2:1b", 1.3, 1.2),
    ("gemma3:1b", 0.8, 1.0),
    ("qwen3:1.7b", 1.4, 2.0),
    ("llama3.2:3b", 2.0, 3.2),
    ("qwen3:4b", 2.6, 4.0),
    ("gemma3:4b", 3.3, 4.3),
    ("phi4-mini", 2.5, 3.8),
    ("llama3.1:8b", 4.9, 8.0),
    ("qwen3:8b", 5.2, 8.2),
    ("gemma3:12b", 8.1, 12.2),
    ("qwen3:14b", 9.3, 14.8),
    ("phi4:14b", 9.1, 14.7),
    ("mistral-small3.2:24b", 15.0, 24.0),
    ("gemma3:27b", 17.0, 27.4),
    ("qwen3:32b", 20.0, 32.8),
    ("llama3.3:70b", 43.0, 70.6),
)
"""Models of Ollama's library that chat well: name, gigabytes, billions of parameters."""


def models_to_pull(
    seated: Sequence[InstalledModel], memory: ModelMemory, most: int = 2
) -> list[InstalledModel]:
    """Models of other makers that would sit well beside these; where there are none, a first pair.

    So many that three are asked, and at most `most`.
    """
    number = min(most, 3 - len(seated))
    makers = {maker(one) for one in seated}
    models = [InstalledModel(name, int(gb * 1e9), "", many) for name, gb, many in _WORTH_PULLING]
    able = [one for one in models if fits(one, memory) and tokens_a_second(one, memory) >= 8]
    if seated:
        best = strength(seated[-1])
        able = [one for one in able if abs(strength(one) - best) <= MUCH_WEAKER]
    chosen: list[InstalledModel] = []
    for model in sorted(able, key=strength, reverse=True):
        if len(chosen) < number and maker(model) not in makers:
            chosen.append(model)
            makers.add(maker(model))
    return chosen


def _why_not_beside(model: InstalledModel, seated: Sequence[InstalledModel]) -> str | None:
    """Why a model does not sit beside stronger ones; None: it does."""
    best = seated[0]
    if len(seated) == 3:
        return "three stronger ones are asked"
    if strength(best) - strength(model) > MUCH_WEAKER:
        return f"it is much weaker than {best.title}"
    for other in seated:
        if maker(other) == maker(model):
            return f"it is not as strong as {other.title}, which is of the same maker"
    return None


def _why(
    seated: Sequence[InstalledModel],
    weaker: Sequence[InstalledModel],
    *,
    alone: bool,
    many: int,
    memory: ModelMemory,
) -> str:
    if alone:
        names = " and ".join(one.title for one in weaker[:2])
        more = " and others" if len(weaker) > 2 else ""
        return f"one is enough: it is much stronger than {names}{more}"
    if len(seated) > 1 and many > len(seated):
        return f"the strongest of different makers that fit into {memory.in_words}"
    if len(seated) > 1:
        return f"of different makers, similarly strong, and each fits into {memory.in_words}"
    return f"the best that fits into {memory.in_words}"


def _smallest(left_out: list[tuple[InstalledModel, str]], memory: ModelMemory) -> Selection:
    """Where nothing fits, the smallest model that chats; where nothing chats, nothing."""
    chatting = [model for model, _ in left_out if why_no_chat(model) is None]
    if not chatting:
        return Selection((), "nothing here chats", tuple(left_out))
    smallest = min(chatting, key=lambda one: (one.size, one.name))
    rest = tuple(one for one in left_out if one[0] is not smallest)
    reason = f"nothing fits into {memory.in_words}, and this is the smallest; it will be slow"
    return Selection((smallest,), reason, rest)


def _plain_name(model: InstalledModel) -> str:
    """The name without the place it was got from: `hf.co/someone/Model-GGUF:Q4` is `model:q4`."""
    return model.name.lower().rpartition("/")[2].removesuffix(":latest").replace("-gguf", "")


def _generation(name: str) -> tuple[str, float] | None:
    for pattern, who, ahead in _GENERATIONS:
        if re.match(pattern, name):
            return who, ahead
    return None
