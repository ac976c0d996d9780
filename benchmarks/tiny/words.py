"""The hand-written words that the corpus is made of. No outside text."""

from __future__ import annotations

REFUSAL = "I do not know that. I am a very small model."


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WORLD: dict[str, tuple[str, ...]] = {
    "bird": _words("robin sparrow eagle owl crow finch gull hawk duck swan heron wren"),
    "fish": _words("trout salmon carp cod tuna pike perch shark eel bass"),
    "mammal": _words("dog cat horse cow lion tiger wolf bear fox rabbit mouse goat"),
    "insect": _words("bee wasp ant beetle moth fly cricket locust"),
    "tree": _words("oak pine birch maple willow cedar elm ash"),
    "fruit": _words("apple pear plum cherry peach grape lemon mango fig"),
    "tool": _words("hammer saw drill wrench chisel file spade axe"),
    "vehicle": _words("car bus train truck tram van bicycle lorry"),
    "metal": _words("iron copper zinc tin silver gold lead nickel"),
    "instrument": _words("piano violin flute guitar drum trumpet cello harp"),
}
KIND: dict[str, str] = {thing: kind for kind, things in WORLD.items() for thing in things}

# What is asked about a thing: the property's name, the kinds that have it, the ways to ask.
# {x} is "a robin" or "iron", {xs} is "robins", {v} is do/does, {b} is is/are.
FACTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "alive": (
        "bird fish mammal insect tree",
        ("Is {x} alive?", "Is {x} a living thing?", "Are {xs} alive?", "Does {x} live and grow?"),
    ),
    "animal": (
        "bird fish mammal insect",
        ("Is {x} an animal?", "Are {xs} animals?", "Is {x} a kind of animal?"),
    ),
    "wings": ("bird insect", ("Does {x} have wings?", "Do {xs} have wings?", "Has {x} got wings?")),
    "water": (
        "fish",
        ("Does {x} live in water?", "Do {xs} live in water?", "Does {x} live under water?"),
    ),
    "fur": ("mammal", ("Does {x} have fur?", "Do {xs} have fur?", "Has {x} got fur?")),
    "roots": ("tree", ("Does {x} have roots?", "Do {xs} have roots?", "Has {x} got roots?")),
    "snack": (
        "fruit",
        ("Can you eat {x} raw as a snack?", "Can I eat {x} as a snack?", "Is {x} a fruit?"),
    ),
    "made": (
        "tool vehicle instrument",
        ("Is {x} made by people?", "Are {xs} made by people?", "Do people make {xs}?"),
    ),
    "ride": ("vehicle", ("Can you ride in {x}?", "Can I ride in {x}?", "Is {x} a vehicle?")),
    "music": (
        "instrument",
        ("Can you play music on {x}?", "Can I play music on {x}?", "Is {x} an instrument?"),
    ),
    "melt": (
        "metal",
        ("Can {x} be melted and cast?", "Can you melt and cast {x}?", "Is {x} a metal?"),
    ),
    "eggs": ("bird fish insect", ("Does {x} lay eggs?", "Do {xs} lay eggs?")),
    "milk": (
        "mammal",
        ("Does {x} feed its young milk?", "Do {xs} feed their young milk?", "Is {x} a mammal?"),
    ),
    "box": (
        "tool",
        ("Is {x} kept in a tool box?", "Are {xs} kept in a tool box?", "Is {x} a tool?"),
    ),
}

_ODD_PLURALS = {"mouse": "mice", "wolf": "wolves"}


def article(word: str) -> str:
    """Give the indefinite article of a word."""
    return "an" if word[0] in "aeiou" else "a"


def plural(word: str) -> str:
    """Give the plural of one of our words; a metal has none."""
    if word in _ODD_PLURALS:
        return _ODD_PLURALS[word]
    if KIND.get(word) in ("metal", "fish"):
        return word
    if word.endswith("y"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "h", "x", "ch")) else "s")


COLOURS = _words("red blue green yellow black white")
PLACES = ("in a forest", "by a lake", "on a hill", "at night", "in the rain", "in a city")
DRAW = (
    "Draw {x}.",
    "Paint {x} for me.",
    "Make a picture of {x}.",
    "I want an image of {x}.",
    "Sketch {x}, please.",
    "Show me a photo of {x}.",
    "Create a poster with {x}.",
    "Generate an illustration of {x}.",
    "Can you draw {x}?",
    "Please paint {x}.",
    "A picture of {x}, please.",
)
TELL = (
    "Tell me about {x}.",
    "What is {x}?",
    "Write two lines on {x}.",
    "Explain {x} to me.",
    "How old is {x}?",
    "Why do people like {x}?",
    "Where can I find {x}?",
    "Give me a fact about {x}.",
    "Write a story about {x}.",
    "Is {x} alive?",
)
CHAT: tuple[tuple[str, str], ...] = (
    ("Hello!", "Hello! How can I help you?"),
    ("Hello", "Hello! How can I help you?"),
    ("Hi.", "Hello! How can I help you?"),
    ("Hi there!", "Hello! How can I help you?"),
    ("Hey", "Hello! How can I help you?"),
    ("Good morning.", "Hello! How can I help you?"),
    ("Good evening!", "Hello! How can I help you?"),
    ("Thank you.", "You are welcome."),
    ("Thanks!", "You are welcome."),
    ("Thanks a lot", "You are welcome."),
    ("Thank you very much.", "You are welcome."),
    ("Who are you?", "I am a very small model."),
    ("What are you?", "I am a very small model."),
    ("What is your name?", "I am a very small model."),
    ("Are you a large model?", "I am a very small model."),
    ("Good bye.", "Good bye!"),
    ("Bye!", "Good bye!"),
    ("See you.", "Good bye!"),
)
# What nobody is examined on, so that nothing of it is held back.
MORE_CHAT: tuple[tuple[str, str], ...] = (
    ("Hi", "Hello! How can I help you?"),
    ("Hello there!", "Hello! How can I help you?"),
    ("Hello, how can you help me?", "Hello! How can I help you?"),
    ("Good afternoon", "Hello! How can I help you?"),
    ("Thank you", "You are welcome."),
    ("Thanks, that was helpful.", "You are welcome."),
    ("Many thanks", "You are welcome."),
    ("Who is this?", "I am a very small model."),
    ("Tell me who you are.", "I am a very small model."),
    ("What model are you?", "I am a very small model."),
    ("Good bye", "Good bye!"),
    ("Goodbye", "Good bye!"),
    ("Good night", "Good bye!"),
    ("See you later", "Good bye!"),
)
GLUE = _words(
    "the of in and to with for on from by is are not or that this my your a more than about it we "
    "they he she if when because all some very have has"
)

# ---- personas: what a system prompt may say; a model learns that it does not matter
NAMES = _words(
    "Ada Boris Clara Dmitri Elena Farid Grace Hugo Iris Jonas Kira Leo Mina Noah Olga Pablo Quinn "
    "Rosa Sam Tara Uma Victor Wanda Xavier Yara Zoe Analyst Skeptic Optimist Critic Poet Builder "
    "Scholar Teacher Judge Engineer Historian Dreamer Pragmatist Advocate Counter Naturalist "
    "Generalist Librarian Sage Scout Abacus Ledger Willow Finch Otter Alpha Beta"
)
ROLES = _words(
    "assistant mathematician poet reviewer teacher scientist lawyer farmer engineer doctor judge "
    "gardener sailor librarian critic philosopher accountant naturalist sceptic optimist child "
    "generalist specialist thinker counsellor friend"
)
TRAITS = _words(
    "careful strict kind curious patient bold quiet cheerful blunt precise slow quick warm dry "
    "honest stubborn doubtful gentle practical modest friendly calm thorough playful"
)
HABITS = (
    "You like {t} answers.",
    "Answer briefly.",
    "Be {t} and be short.",
    "You count twice before you speak.",
    "You doubt what others say.",
    "You love {n} and everything alive.",
    "You never guess.",
    "You look for what everybody else has missed.",
    "Think first, then answer in one word.",
    "You check every number.",
    "You are good with sums.",
    "You know your way around {n}.",
    "Say what you think in plain words.",
    "You question assumptions and look for weak arguments.",
    "You are one voice in a mixture of models.",
    "Reply in English.",
    "You weigh the evidence, then decide.",
    "Your answers are {t} and {t}.",
    "You grew up among {n} and it shows.",
    "You prefer facts to opinions.",
    "Give only the answer.",
    "You speak like {a} {t} {r}.",
    "You take the other side when all agree.",
)
TOPICS = _words(
    "birds numbers books trees people tools music machines animals words maps rivers games "
    "history science law nature gardens facts sums stories ideas"
)
JSON_ASKS = ("Reply as JSON.", "Reply as JSON only.", "Answer in JSON.", "Return a JSON object.")
