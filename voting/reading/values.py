r"""A few words that are known to be the answer, as a typed value: `**(B)**`, `$\frac{1}{2}$`, `5 km`.

Finding those words in a long reply is the work of `statements`.
"""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

from mom_council.voting.reading.answer import NO_ANSWER, Answer, is_plain_number, plain_number
from mom_council.voting.reading.groups import (
    group_answer,
    read_group,
    read_literal,
    sorted_keys,
    split_top,
)
from mom_council.voting.reading.latex import without_latex
from mom_council.voting.reading.mathematics import (
    number_answer,
    read_relation,
    read_terms,
)
from mom_council.voting.reading.moments import read_moment
from mom_council.voting.reading.quantities import read_quantity
from mom_council.voting.reading.text import is_empty, lazy_pattern

_LONGEST = 2000


def read_value(text: str, *, words: int = 8, exact: bool = False) -> Answer | None:
    """The value of a short answer; None where it is too long to be one; `NO_ANSWER` where empty.

    Args:
        text: the answer alone.
        words: the most words that an answer in words may have.
        exact: read text to the letter: quotation marks and case matter.
    """
    if is_plain_number(text):
        return plain_number(Fraction(text))
    if len(text) > _LONGEST:
        return None
    text = text.strip()
    literal = _literal_text(text)
    if literal is not None:
        return _quoted(literal)
    bare = _bare(text)
    if not bare or is_empty(bare):
        return NO_ANSWER if len(text) < 60 else None
    if len(bare) > 1000:
        return None
    value = read_hard(bare)
    if value is None and "\n" not in text:
        value = _in_words(bare, words, exact)
    return value


def read_hard(text: str) -> Answer | None:
    """A value whose shape prose does not take by chance."""
    if text == "°":
        return None
    read = (
        _truth(text)
        or _choice(text)
        or read_moment(text)
        or _formula(text)
        or _number(text)
        or _grouped(text)
        or read_relation(_bound_in_signs(text), _read_part)
        or _several(text)
        or _ratio_or_range(text)
        or _ordinal(text)
        or read_terms(text)
    )
    if read is None and text[0] == "(" and text[-1] == ")" and len(text) > 2:
        inner = text[1:-1].strip()
        if "(" not in inner and ")" not in inner:
            return read_hard(inner) if inner else None
    return read


def _read_part(text: str) -> Answer | None:
    """A value inside a list or on one side of an equation."""
    text = text.strip()
    literal = _literal_text(text)
    if literal is not None:
        return _quoted(literal)
    text = _unwrap(text)
    if not text or len(text) > 400:
        return None
    return (
        _truth(text)
        or _choice(text)
        or read_moment(text)
        or _number(text)
        or _grouped(text)
        or read_relation_part(text)
        or read_terms(text)
        or _in_words(text, 8, False)
    )


def read_relation_part(text: str) -> Answer | None:
    """An equation inside a list: `x = 1`."""
    if not re.search(r"[=<>≤≥∈]", text):
        return None
    return read_relation(text, lambda side: _number(side) or _grouped(side) or read_terms(side))


# --- numbers ----------------------------------------------------------------------------------


def _number(text: str) -> Answer | None:
    if text[0] == "(" and text[-1] == ")" and "," not in text and "(" not in text[1:]:
        text = text[1:-1].strip()
        if not text:
            return None
    if not (text[0] in "-+−–.~≈≃$€£¥₹₽₩₿½¼¾⅓⅔⅛⅜⅝⅞" or text[0].isalnum()):
        return None
    if _PADDED.fullmatch(text):
        # 007 is said with its zeros, and says 7.
        return Answer(
            "number", text, f"w:{text}", frozenset({f"#{int(text)}"}), text, Fraction(int(text))
        )
    quantity = read_quantity(text)
    return None if quantity is None else number_answer(quantity, text)


_BOUND = lazy_pattern(
    r"(?:(?P<name>[a-zA-Z])\s+(?:is|must be|can be|should be)\s+)?(?P<words>(?:greater|less|more|fewer|larger|smaller) than"
    r"(?P<equal> or equal to)?|at least|at most|no (?:more|less|fewer) than|up to)\s+(?P<rest>[-$€£\d].*)",
    re.IGNORECASE,
)
_OF_ALL = lazy_pattern(r"all\s+(?:real\s+)?(?:numbers\s+)?(?=[a-zA-Z]\s*[<>≤≥])", re.IGNORECASE)


def _bound_in_signs(text: str) -> str:
    """`x is at least 2` as `x ≥ 2`; without an unknown it stays as it is."""
    bound = _BOUND.fullmatch(text) if " " in text and text[0].isalpha() else None
    if bound is None and not text.startswith("all "):
        return text
    if bound is None or not bound["name"]:
        return _OF_ALL.sub("", text)
    return f"{bound['name']} {_bound_sign(bound)} {bound['rest']}"


def _bound_sign(bound: re.Match[str]) -> str:
    words = bound["words"].lower()
    below = words in ("at most", "up to", "no more than") or words.startswith(
        ("less", "fewer", "small")
    )
    equal = bound["equal"] or not words.endswith("than") or words.startswith("no ")
    return ("≤" if equal else "<") if below else ("≥" if equal else ">")


def _bound(text: str) -> Answer | None:
    """`at least 5`: a bound without an unknown."""
    bound = _BOUND.fullmatch(text) if " " in text and text[0].isalpha() else None
    number = _number(bound["rest"]) if bound and not bound["name"] else None
    if bound is None or number is None:
        return None
    sign = _bound_sign(bound)
    alts = frozenset(f"{sign}{key}" for key in number.alts)
    return Answer("inequality", text, f"{sign}{number.key}", alts, bare=f"{sign}{number.bare}")


_ORDINAL = lazy_pattern(
    r"(?:the\s+)?(?P<number>\d{1,4})(?:st|nd|rd|th|º|ª|ème|ère)(?P<rest>(?:\s+[^\W\d_]+){0,3})",
    re.I,
)
_ORDINAL_WORD = lazy_pattern(
    r"(?:the\s+)?(?:(?P<tens>twent|thirt|fort|fift|sixt|sevent|eight|ninet)y-)?"
    r"(?P<word>first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|"
    r"fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth)(?P<rest>(?:\s+[^\W\d_]+){0,3})",
    re.IGNORECASE,
)
_ORDINAL_ENDING = lazy_pattern(r"\d(?:st|nd|rd|th|º|ª|ème|ère)", re.IGNORECASE)
_ORDINALS = _ORDINAL_WORD.pattern.partition("<word>")[2].partition(")")[0].split("|")
_TENS = ("twent", "thirt", "fort", "fift", "sixt", "sevent", "eight", "ninet")


def _ordinal(text: str) -> Answer | None:
    """`5th`, `the fifth`, `19th century`."""
    match = _ORDINAL.fullmatch(text) if _ORDINAL_ENDING.search(text) else None
    if match:
        number = int(match["number"])
    elif not text[0].isdigit() and (match := _ORDINAL_WORD.fullmatch(text)) is not None:
        number = _ORDINALS.index(match["word"].lower()) + 1
        number += 10 * (_TENS.index(match["tens"].lower()) + 2) if match["tens"] else 0
    else:
        return _bound(text)
    rest = " ".join(match["rest"].casefold().split())
    form = _ARTICLE.sub("", text)
    bare = form.casefold() if not rest else form
    if rest or not form[0].isdigit():
        return Answer(
            "phrase",
            form,
            f"ord:{number} {rest}".strip(),
            frozenset({f"w:{phrase_key(form)}"}),
            bare,
        )
    return Answer("number", form, f"ord:{number}", bare=bare, value=Fraction(number), unit="th")


_ELEMENTS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Ag Cd "
    "Sn Sb I Xe Cs Ba Pt Au Hg Pb Bi U"
)
_ATOMS = rf"(?:{'|'.join(sorted(_ELEMENTS.split(), key=len, reverse=True))})"
_FORMULA = lazy_pattern(
    rf"(?=[^\d]*\d)(?=(?:{_ATOMS}|[\d_()]){{3,}})(?:{_ATOMS}(?:_?\d{{1,2}})?|[()](?:_?\d)?)+"
)


def _formula(text: str) -> Answer | None:
    """A formula of chemistry: `H2O`, `H_2SO_4`, `Ca(OH)2`."""
    if not text[0].isupper() or len(text) > 40 or not _FORMULA.fullmatch(text):
        return None
    form = text.replace("_", "")
    if form.count("(") != form.count(")"):
        return None
    return Answer("phrase", text, f"formula:{form}", frozenset({f"w:{phrase_key(form)}"}), form)


_PADDED = lazy_pattern(r"0\d{1,30}")
_RATIO = lazy_pattern(r"(\d+(?:\.\d+)?)\s*:\s*(\d+(?:\.\d+)?)((?:\s*:\s*\d+(?:\.\d+)?)*)")
_RANGE = lazy_pattern(
    r"(?:between\s+|from\s+|zwischen\s+|entre\s+|de\s+|von\s+)?(?P<low>\$?-?\d[\d.,]*(?:\s?%)?)\s*"
    r"(?:-|–|—|\.\.|to|and|bis|und|à|a|y|et|até|до|~|〜|から|到|至)\s*(?P<high>\$?-?\d[\d.,]*(?:\s?%)?)(?P<unit>(?:\s*[^\W\d_]+){0,3})",
    re.IGNORECASE,
)


_SIZES = lazy_pattern(r"(\d+(?:\.\d+)?)\s*(by|[x×])\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_MOMENTS = lazy_pattern(
    r"(?:from\s+|(?P<between>between|zwischen|entre)\s+)?(?P<low>\d[\d:.]*\s?(?:[ap]\.?m\.?)?)\s*(?:-|–|to|bis|à|(?(between)(?:and|und|et|y)|-))\s*"
    r"(?P<high>\d[\d:.]*\s?(?:[ap]\.?m\.?)?)",
    re.IGNORECASE,
)


def _ratio_or_range(text: str) -> Answer | None:
    ratio = _RATIO.fullmatch(text)
    if ratio:
        form = re.sub(r"\s+", "", text)
        return Answer("ratio", form, f"colon:{form}", bare=form)
    sizes = _SIZES.fullmatch(text)
    if sizes:
        one, sign, other = sizes[1], sizes[2], sizes[3]
        product = plain_number(Fraction(one) * Fraction(other))
        alts = frozenset({product.key} if sign == "×" else ())
        return Answer("tuple", f"{one} {sign} {other}", f"by:{one}:{other}", alts, f"{one}×{other}")
    moments = _MOMENTS.fullmatch(text)
    if moments and re.search(r":|m", moments["high"], re.IGNORECASE):
        low, high = (read_moment(moments[side].strip()) for side in ("low", "high"))
        begin = low.key if low else moments["low"].strip()
        return high and Answer("range", text, f"range:{begin}..{high.key}", bare=text.casefold())
    between = _RANGE.fullmatch(text)
    if between is None:
        return None
    low, high = (_number(between[side]) for side in ("low", "high"))
    if (
        low is None
        or high is None
        or low.value is None
        or high.value is None
        or low.value >= high.value
    ):
        return None
    unit = between["unit"].strip()
    if len(unit) == 1 and unit in "iabcdefjknopqrtuvwxyz":
        return None  # 1 - 2i
    form = f"{low.form}-{high.form}" + (f" {unit}" if unit else "")
    key = f"range:{low.key}..{high.key}"
    alts = frozenset({key}) if unit else frozenset()
    return Answer("range", form, key + (f"|{unit.casefold()}" if unit else ""), alts, form)


def _grouped(text: str) -> Answer | None:
    return read_group(text, _read_part)


# --- several ----------------------------------------------------------------------------------

_AND = lazy_pattern(
    r"\s*(?:,\s*)?(?<!\w)(?:and|or|und|oder|et|ou|y|o|e|или|и|和|或|と|और|या|و|أو)(?!\w)(?!\s*[=<>≤≥∈^])\s*|\s*&\s*|"
    r"\s*(?:和|与|與|或|と|、|または|와|과|및)\s*(?=[(\[]?[A-J](?!\w)|-?\d)",
    re.IGNORECASE,
)


def _several(text: str) -> Answer | None:
    """`6, -2` is a list; `x = 2 or x = 3`, `2 and 3` and `2; 3` are sets; `A and C` are choices."""
    text = re.sub(
        r"^(?:both\s+|either\s+|sowohl\s+)?(?:(?:options|choices|answers|letters)\s+)?(?=\S)",
        "",
        text,
        flags=re.IGNORECASE,
    )
    parts, joined = _parts(text)
    if len(parts) < 2 or len(parts) > 60 or any(not part for part in parts):
        return None
    items = [_read_part(part) for part in parts]
    if any(item is None or not item for item in items):
        return None
    read = [item for item in items if item is not None]
    if all(item.type == "choice" for item in read):
        return _choices(read)
    if not all(item.hard for item in read):
        return None
    if not joined:
        listed = group_answer("[", read, "]")
        form = ", ".join(str(item.form) for item in read)
        alts = listed.alts | {sorted_keys(read)}
        return Answer("list", form, listed.key, alts, ",".join(str(item.bare) for item in read))
    whole = group_answer("{", read, "}")
    form = " and ".join(str(item.form) for item in read)
    alts = whole.alts
    if all("=" in item.key for item in read):
        values = sorted({sorted(item.alts)[0] for item in read if item.alts})
        names = {item.key.partition("=")[0] for item in read}
        alts = frozenset({"{" + ",".join(values) + "}"}) if len(names) == 1 else frozenset()
        if len(names) == 1 and len(values) == len(read) < 4:
            alts |= {f"[{','.join(order)}]" for order in itertools.permutations(values)}
        elif len(names) == len(read) == len([item for item in read if item.alts]):
            ordered = [sorted(item.alts)[0] for item in sorted(read, key=lambda item: item.key)]
            alts = frozenset({f"({','.join(ordered)})"})
    else:
        ordered = [item.key for item in read]
        alts |= {"[" + ",".join(ordered) + "]", *_union_of(read, text)}
    return Answer("set", form, whole.key, alts, bare=form)


def _union_of(items: list[Answer], text: str) -> frozenset[str]:
    """`x < 2 or x > 3` as the two intervals together, `x > 2 and x < 3` as the one that both leave."""
    intervals = [sorted(item.alts)[0] for item in items if item.alts]
    names = {re.split("[<>≤≥∈]", item.key)[0] for item in items}
    inequalities = all(item.type == "inequality" for item in items)
    if not inequalities or len(intervals) < len(items) or len(names) > 1:
        return frozenset()
    if re.search(r"\b(?:or|oder|ou|o|или)\b|∨", text):
        return frozenset({"∪".join(sorted(intervals))})
    low = [each for each in intervals if each.endswith("∞)")]
    high = [each for each in intervals if each.startswith("(-∞")]
    if len(low) != 1 or len(high) != 1 or len(intervals) > 2 or low == high:
        return frozenset()
    both = f"{low[0].removesuffix(',∞)')},{high[0].removeprefix('(-∞,')}"
    return frozenset({both, f"{names.pop()}∈{both}"})


def _parts(text: str) -> tuple[list[str], bool]:
    """The members of a list, and whether words join them."""
    pieces = [piece for part in split_top(text, ",;") for piece in _AND.split(part)]
    joined = ";" in text or any(_AND.search(part) for part in split_top(text))
    pieces = [piece.strip() for piece in pieces]
    if len(pieces) > 1:
        pieces = [piece for at, piece in enumerate(pieces) if piece or at == 0]
    pairs = [piece for piece in pieces if re.fullmatch(r"[A-Za-z]\s*=.*", piece)]
    if pairs and len(pairs) == len(pieces):
        joined = True
    return pieces, joined


# --- choices, truth ---------------------------------------------------------------------------

_NOUN = (
    r"(?i:(?:(?:la|a|die)\s+)?(?:letra|lettre|lettera|buchstabe|буква)|la|option|choice|answer|ans\.?|letter|opción|opcion|opção|opzione|choix|вариант|antwort|selection|"
    r"选项|選項|選択肢|विकल्प|الخيار)"
)
_CHOICE = lazy_pattern(
    rf"^(?:{_NOUN}\s*:?\s*)?(?:\((?P<round>[A-Ja-j])\)|\[(?P<square>[A-J])\]|"
    r"(?P<bare>[A-J])(?P<mark>[.):]|\s+[-–—])?|(?P<small>[a-j])(?P<bracket>\))?)(?P<rest>(?:\s.*)?)$",
    re.DOTALL,
)
_MORE_LETTERS = lazy_pattern(
    r"(?:,|&|and\b|or\b|und\b|et\b|y\b|e\b|и\b)\s*[(\[]?[A-J][)\]]?(?![\w'])", re.IGNORECASE
)
_CYRILLIC = str.maketrans("АВСДЕ", "ABCDE")
_COMMENT = lazy_pattern(
    r"^(?:the|this|it|because|since|as|so|therefore|thus|all|both|none|that|which|these|option|other|others|"
    r"is|are|was|in|by|for|we|i|you|if|when)\b",
    re.IGNORECASE,
)
_TRUTHS = {
    "yes": "yes", "no": "no", "true": "true", "false": "false", "ja": "yes", "nein": "no",
    "oui": "yes", "non": "no", "sí": "yes", "si": "yes", "sim": "yes", "não": "no", "sì": "yes",
    "да": "yes", "нет": "no", "是": "yes", "是的": "yes", "对": "yes", "否": "no", "不是": "no",
    "不": "no", "はい": "yes", "いいえ": "no", "네": "yes", "예": "yes", "아니요": "no", "아니오": "no",
    "हाँ": "yes", "हां": "yes", "नहीं": "no", "जी हाँ": "yes", "نعم": "yes", "لا": "no",
    "wahr": "true", "falsch": "false", "vrai": "true", "faux": "false", "verdadero": "true",
    "falso": "false", "verdadeiro": "true", "vero": "true", "верно": "true", "неверно": "false",
    "正确": "true", "错误": "false", "참": "true", "거짓": "false", "सही": "true", "गलत": "false",
    "صحيح": "true", "خطأ": "false", "правда": "true", "ложь": "false",
}  # fmt: skip
_TRUTH_TAIL = lazy_pattern(
    r"^(?P<word>[^\s,.;:!–—。।-]+(?: हाँ)?)\s*(?:(?!\.\s*\d)[,.;:!–—。।-]\s?.*)?$",
    re.DOTALL | re.IGNORECASE,
)


def _choice(text: str) -> Answer | None:
    if len(text) == 1 and text in "АВС":
        text = text.translate(_CYRILLIC)
    match = _CHOICE.match(text)
    if not match:
        return None
    rest = match["rest"].strip()
    letter = (match["round"] or match["square"] or match["bare"] or match["small"]).upper()
    if rest and (
        (match["small"] and not match["bracket"]) or (match["bare"] and not match["mark"])
    ):
        return None  # "A man", "a dog"
    if _MORE_LETTERS.match(rest):
        return None
    if match["mark"] == "." and re.match(r"^(?:[a-z]+$|[A-Z]\.)", rest):
        return None  # "E. coli", "J. K. Rowling"
    if (
        match["mark"]
        and len(match["mark"].strip())
        and match["mark"].strip() in "-–—"
        and rest[:1].isdigit()
    ):
        return None  # "A - 3"
    if len(rest) >= 200 or (letter == "A" and match["mark"] == ":" and rest):
        return None  # "A: 80" is an answer and its label
    name = _NAME_AFTER.match(rest) if match["mark"] == "." and not _COMMENT.match(rest) else None
    if name is None:
        return choice_answer((letter,))
    if letter >= "F" and _SURNAME.fullmatch(name[1]):
        return None  # J. Austen
    # "B. Paris" is an option, "C. Darwin" a name: what it says beside the letter is not left out.
    label = name[1]
    alts = frozenset({f"c:{letter}", f"w:{phrase_key(label)}"})
    form = f"{letter}. {label}"
    return Answer("choice", form, f"c:{letter}|{label.casefold()}", alts, letter, letters=(letter,))


_NAME_AFTER = lazy_pattern(r"([A-Z][\w'’-]*(?: [A-Z][\w'’-]*){0,3})(?=\.?$|[,;(]|\s[(–—-])")
_SURNAME = lazy_pattern(
    r"(?:(?:Mc|Mac|O'|O’|D'|De|Le|La|Van|Von)\s?)?[A-Z][a-zà-ÿ'’-]{2,}(?: [A-Z][a-zà-ÿ'’-]{2,})?"
)


def choice_answer(letters: tuple[str, ...]) -> Answer:
    """One letter or several, whatever their order."""
    letters = tuple(sorted(set(letters)))
    form = ", ".join(letters)
    return Answer("choice", form, f"c:{form}", bare=form, letters=letters)


def _choices(items: list[Answer]) -> Answer | None:
    letters = tuple(letter for item in items for letter in item.letters)
    return choice_answer(letters) if len(set(letters)) == len(letters) else None


def _truth(text: str) -> Answer | None:
    match = _TRUTH_TAIL.match(text) if len(text) < 200 else None
    word = match["word"].casefold() if match else ""
    truth = _TRUTHS.get(word)
    if truth is None or (len(word) != len(text.rstrip(".!。")) and word in ("si", "no", "non", "faux", "不", "是", "对")
                         and not re.match(r"no\s*[,.;:!–—-]", text, re.IGNORECASE)):  # fmt: skip
        return None
    return Answer("truth", truth, f"y:{truth}", bare=truth)


# --- words ------------------------------------------------------------------------------------

_ARTICLE = lazy_pattern(r"^(?:the|a|an)\s+(?=[\w\"'(])", re.IGNORECASE)
_ENDINGS = lazy_pattern(r"\s*(?:です|でした|である|だ|입니다|이다|이에요|예요|है|हैं|होगा)[।.]?$")
_PROSE = lazy_pattern(
    r"[A-Za-z]{3,} (?:[A-Za-z]{2,}|\()|(?<![\\A-Za-z])(?!sqrt|cbrt|arc(?:sin|cos|tan)|binom)[^\W\d_]{4,}"
)
_MATHS = lazy_pattern(r"\d|[=^*/√]|sqrt|\\")


_INITIALS = lazy_pattern(r"(?<![\w'’\u0900-\u0963])[^\W\d_](?: [^\W\d_](?![\w'’]))+")


def phrase_key(text: str) -> str:
    """Words as they are compared: small letters, no article, no dots of abbreviations."""
    text = _ARTICLE.sub("", " ".join(re.sub(r"[*_`\"]+", " ", text).split()))
    if "." in text:
        text = re.sub(r"(?<![\w])([^\W\d_])\.\s*(?=[^\W\d_]\.|[^\W\d_]{2})", r"\1 ", text)
    text = re.sub(r"(?<=[^\W\d_])\.(?=\s|$)|(?<=\b[^\W\d_])\.(?=[^\W\d_](?:\.|\s|$))", "", text)
    text = " ".join(text.casefold().split())
    text = _INITIALS.sub(lambda letters: letters[0].replace(" ", ""), text)
    return text.rstrip(".!?,;: ") or text


def _in_words(text: str, most: int, exact: bool) -> Answer | None:
    text = _ENDINGS.sub("", text)
    words = text.split()
    if not words or len(words) > most or len(text) > 100:
        return None
    if re.search(r"[^\W\d_]{5,}[.!?]\s|[。!?]", text):
        return None  # a sentence and the next
    if re.fullmatch(r"[\s`'\"(){}\[\],:;]*", text) or words[0].lower() in {
        "not",
        "that",
        "because",
    }:
        return None
    phrase = _ARTICLE.sub("", " ".join(words)) if not exact else " ".join(words)
    if exact:
        return Answer("text", phrase, f"q:{phrase}", frozenset({f"w:{phrase_key(phrase)}"}), phrase)
    if _MATHS.search(text) and not _PROSE.search(text):
        form = re.sub(r"\s*([-+*/^=<>≤≥(),])\s*", r"\1", phrase)
        return Answer(
            "phrase", phrase, f"w:{form.casefold()}", frozenset({f"w:{phrase_key(phrase)}"}), form
        )
    natural = all(re.fullmatch(r"[^\W\d_]?[^A-Z]*", word) for word in words)
    bare = phrase.casefold() if natural else phrase
    alts = _as_counted(phrase)
    more = _MORE_ON_IT.match(phrase)
    if more:
        alts |= {f"w:{phrase_key(more[1])}"}
    return Answer("phrase", phrase, f"w:{phrase_key(phrase)}", alts, bare)


_MORE_ON_IT = lazy_pattern(
    r"([^,()]{2,}?)(?:, (?:who|whose|which|where|the|an?|in)\s|\s?\([^()]*\)$)"
)
"""A name and what is said of it: `Lisbon, the capital of Portugal`, `F. Kafka (1915)`."""


def _as_counted(title: str) -> frozenset[str]:
    """What a title with a number in it may mean as a number: `Forty Apples`, `Seven Samurai`."""
    if not title[:1].isalpha() or " " not in title or title.islower():
        return frozenset()
    counted = read_quantity(title.casefold())
    if counted is None:
        return frozenset()
    answer = number_answer(counted, title)
    return answer.alts | {answer.key}


def verbatim(text: str) -> Answer:
    """A text as it stands."""
    phrase = " ".join(text.split())
    return Answer("phrase", phrase, f"w:{phrase_key(phrase)}", bare=phrase)


def _quoted(text: str) -> Answer:
    """What stands in quotation marks, to the letter, but for `"42"`, `"yes"` and `"[1, 2]"`."""
    value = None
    if text and text == text.strip() and not re.match(r"0\d", text) and len(text) < 400:
        value = read_hard(_tidy(text))
        if value is None and "\\" in text:
            value = read_hard(_bare(text) or text)
    if value is None or value.type in ("choice", "time", "date", "term", "ratio", "inequality"):
        return _text_answer(text, value)
    return value


def _text_answer(text: str, value: Answer | None) -> Answer:
    form = text if text.strip() else repr(text)
    alts = {f"w:{phrase_key(text)}"}
    if value is not None:
        alts.add(value.key)
    letters = value.letters if value is not None else ()
    return Answer("text", form, f"q:{text}", frozenset(alts), bare=form, letters=letters)


# --- wrapping ---------------------------------------------------------------------------------

_WRAPS = (
    ("**", "**"),
    ("__", "__"),
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("*", "*"),
    ("_", "_"),
    ("<answer>", "</answer>"),
)
_WRAP_SIGNS = frozenset("*_$\\<")
_FENCE = lazy_pattern(r"^```[\w+-]*\n?(.*?)\n?```$", re.DOTALL)
_DOT = lazy_pattern(r"(?<![.!])[.;,。।]$|(?<=[^\W\d_])!$")


def _literal_text(text: str) -> str | None:
    """What stands between the quotation marks or backticks, where the whole text does."""
    if not text or text[0] not in "'\"`*_$<":
        return None
    text = _unwrap(text)
    fence = _FENCE.match(text)
    if fence:
        text = fence[1].strip()
        if "\n" in text:
            return None
    if len(text) > 1 and text[0] == text[-1] == "`" and "`" not in text[1:-1]:
        text = text[1:-1].strip()
        return text if text and not re.match(r"^[\[({'\"]", text) else _string(text)
    return _string(text)


def _string(text: str) -> str | None:
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        return None
    try:
        value = read_literal(text)
    except ValueError:
        value = text[1:-1] if text[0] not in text[1:-1] else None
    return value if isinstance(value, str) else None


def _unwrap(text: str) -> str:
    text = text.strip()
    for _ in range(12):
        before = text
        for left, right in _WRAPS if text[:1] in _WRAP_SIGNS else ():
            if text.startswith(left) and text.endswith(right):
                inner = text[len(left) : len(text) - len(right)]
                if inner and left not in inner.replace("\\$", ""):
                    text = inner.strip()
        text = _DOT.sub("", text).strip()
        if text == before:
            break
    return text


def _bare(text: str) -> str:
    text = _unwrap(text)
    fence = _FENCE.match(text)
    if fence:
        text = _unwrap(fence[1])
    text = without_latex(text)
    if not text.isascii():
        text = _ENDINGS.sub("", text)
    if len(text) > 1 and text[0] == text[-1] == "`":
        text = text[1:-1]
    if "**" in text and len(text) < 200:
        text = _BOLD.sub(r"\1", text)
    return _unwrap(_ARROW.sub("", _tidy(text)).rstrip(":").strip("*"))


_BOLD = lazy_pattern(r"\*\*(?=\S)([^*]+)(?<=\S)\*\*(?!\s*\d)")
_ARROW = lazy_pattern(r"^(?:[=-]+>|[→⇒➜👉✅✔✓☑]\ufe0f?)\s*")


_ODD_BLANK = lazy_pattern("[\u00a0\u2009\u202f\u2007]")
_DASH = lazy_pattern(r"[−–—‒‐‑](?=\s*[\d.$€£a-z(])")


def _tidy(text: str) -> str:
    text = " ".join(text.split())
    if text.isascii():
        return text
    text = re.sub(r"(?<=\d)[\u00a0\u2009\u202f\u2007](?=\d{3}(?!\d))", " ", text)
    return _DASH.sub("-", _ODD_BLANK.sub(" ", text))
