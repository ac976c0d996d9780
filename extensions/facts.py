"""Facts that are computed without a model: sums, shares, units, dates. Exact.

Facts: a sheet of what this machine knows for certain, without asking anybody.

The date and time, exact results of the sums, units and dates in the question, and what the owner of
the machine has written into `facts.md` in the data directory.
"""

from __future__ import annotations

import ast
import operator
import platform
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mom_council import paths
from mom_council.extensions.documents import WordIndex
from mom_council.extensions.protocol import At, Change, Extension

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_SUM = re.compile(rf"(?<![\w.])[(\s]*{_NUMBER}[)\s]*(?:(?:\*\*|[-+*/^×÷−])[(\s]*{_NUMBER}[)\s]*)+")
_SHARE = re.compile(rf"({_NUMBER})\s*(?:%|percent)\s+of\s+({_NUMBER})", re.IGNORECASE)
_UNITS = re.compile(
    rf"(-?{_NUMBER})\s*°?\s*([A-Za-z]+)\s+(?:is\s+)?(?:in|to|into|as)\s+°?\s*([A-Za-z]+)"
)
_TURNED = re.compile(rf"how (?:many|much) ([A-Za-z]+)\s+(?:is|are|in)\s+({_NUMBER})\s*([A-Za-z]+)")
_DATE = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)")
_ASKS_FOR_SUM = re.compile(
    r"(?:what'?s|what is|how much is|calculate|compute|evaluate)\s*$", re.IGNORECASE
)
_LONGEST = 200
_LARGEST_NUMBER = 10**30

_ACTS: dict[type, Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_SCALES: dict[str, dict[str, str]] = {
    "length": {
        "mm": "0.001", "cm": "0.01", "m": "1", "meter": "1", "metre": "1", "km": "1000",
        "kilometer": "1000", "kilometre": "1000", "inch": "0.0254", "inches": "0.0254",
        "ft": "0.3048", "foot": "0.3048", "feet": "0.3048", "yd": "0.9144", "yard": "0.9144",
        "mile": "1609.344", "mi": "1609.344",
    },
    "mass": {
        "mg": "0.000001", "g": "0.001", "gram": "0.001", "kg": "1", "kilogram": "1", "t": "1000",
        "oz": "0.028349523125", "ounce": "0.028349523125", "lb": "0.45359237",
        "pound": "0.45359237",
    },
    "volume": {
        "ml": "0.001", "cl": "0.01", "dl": "0.1", "l": "1", "liter": "1", "litre": "1",
        "gallon": "3.785411784", "pint": "0.473176473", "cup": "0.2365882365",
    },
    "time": {
        "s": "1", "second": "1", "min": "60", "minute": "60", "h": "3600", "hour": "3600",
        "day": "86400", "week": "604800",
    },
    "data": {
        "byte": "1", "kb": "1000", "mb": "1000000", "gb": "1000000000", "tb": "1000000000000",
        "kib": "1024", "mib": "1048576", "gib": "1073741824",
    },
}  # fmt: skip
_DEGREES = {"c": "C", "celsius": "C", "f": "F", "fahrenheit": "F", "k": "K", "kelvin": "K"}


def worked_out(text: str, today: date) -> list[str]:
    """Every line that can be worked out from a text; never more than ten."""
    lines: dict[str, None] = {}
    for find in (_sums, _shares, _conversions):
        lines |= dict.fromkeys(find(text))
    lines |= dict.fromkeys(_dates(text, today))
    return [*lines][:10]


def _sums(text: str) -> Iterator[str]:
    without_dates = _DATE.sub(" ", text)
    for match in _SUM.finditer(without_dates):
        if _may_be_no_sum(match, without_dates):
            continue
        written = _balance_brackets(match[0].strip())
        if (value := evaluated(written)) is not None:
            yield f"{written} = {format_number(value)}"


def _may_be_no_sum(match: re.Match[str], text: str) -> bool:
    """Whether it may as well be a telephone number, a range of years, a date or `24/7`."""
    written = match[0].strip()
    if re.search(r"\s|[+*^×÷(]", written):
        return False
    alone = written == text.strip().rstrip("?=. ")
    return not (alone or _ASKS_FOR_SUM.search(text[: match.start()]))


def _shares(text: str) -> Iterator[str]:
    for share, whole in _SHARE.findall(text):
        yield f"{share} % of {whole} = {format_number(_number(share) * _number(whole) / 100)}"


def _conversions(text: str) -> Iterator[str]:
    conversions = [*_UNITS.findall(text), *((n, a, b) for b, n, a in _TURNED.findall(text.lower()))]
    for amount, this, that in conversions:
        value = _convert(_number(amount), this, that)
        if value is not None:
            yield f"{amount} {this} = {format_number(value)} {that}"


def _dates(text: str, today: date) -> Iterator[str]:
    seen: list[date] = []
    for year, month, day in _DATE.findall(text)[:4]:
        try:
            seen.append(date(int(year), int(month), int(day)))
        except ValueError:
            continue
        days = (seen[-1] - today).days
        when = "today" if not days else f"{abs(days)} days {'from' if days > 0 else 'before'} today"
        yield f"{seen[-1]} is a {seen[-1]:%A}, {when}"
    if len(seen) == 2:
        yield f"from {seen[0]} to {seen[1]} it is {(seen[1] - seen[0]).days} days"


def evaluated(written: str) -> Fraction | None:
    """The exact value of a sum, None where it is none or grows beyond reason."""
    text = written.replace("^", "**").replace("×", "*").replace("÷", "/").replace("−", "-")
    if len(text) > _LONGEST:
        return None
    try:
        return _value(ast.parse(text.replace(",", "").strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, OverflowError):
        return None


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return Fraction(repr(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow):
            if right.denominator != 1 or abs(right) > 100 or abs(left) > 10**6:
                raise ValueError
            value = left ** int(right)
        else:
            value = _ACTS[type(node.op)](left, right) if type(node.op) in _ACTS else _refuse()
        if abs(value) > _LARGEST_NUMBER or value.denominator > _LARGEST_NUMBER:
            raise ValueError
        return value
    return _refuse()


def _refuse() -> Fraction:
    raise ValueError


def _convert(value: Fraction, this: str, that: str) -> Fraction | None:
    a, b = _DEGREES.get(this.lower()), _DEGREES.get(that.lower())
    if a and b:
        celsius = {"C": value, "F": (value - 32) * 5 / 9, "K": value - Fraction("273.15")}[a]
        turned = {"C": celsius, "F": celsius * 9 / 5 + 32, "K": celsius + Fraction("273.15")}
        return turned[b]
    for scale in _SCALES.values():
        one, other = _of(scale, this), _of(scale, that)
        if one and other:
            return value * Fraction(one) / Fraction(other)
    return None


def _of(scale: dict[str, str], unit: str) -> str | None:
    name = unit.lower()
    return scale.get(name) or (scale.get(name[:-1]) if name.endswith("s") else None)


def _number(written: str) -> Fraction:
    return Fraction(written.replace(",", ""))


def _balance_brackets(written: str) -> str:
    """A sum without brackets that have no other half."""
    while written.count("(") > written.count(")") and written.startswith("("):
        written = written[1:].strip()
    while written.count(")") > written.count("(") and written.endswith(")"):
        written = written[:-1].strip()
    return written


def format_number(value: Fraction) -> str:
    """A number as people write it, with "about" where it was rounded to twelve digits."""
    if value.denominator == 1:
        return str(value.numerator)
    with localcontext(prec=12):
        rounded = Decimal(value.numerator) / Decimal(value.denominator)
    text = f"{rounded:f}".rstrip("0").rstrip(".") if "." in f"{rounded:f}" else f"{rounded:f}"
    return text if Fraction(text) == value else f"about {text}"


_SHORT = 4_000
_LARGEST = 200_000
_LINES = 20


class FactsSettings(BaseModel):
    """What goes onto the sheet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clock: bool = Field(default=True, description="the date, the weekday and the time")
    timezone: str | None = Field(
        default=None, description="such as Europe/Paris; left out: this machine's"
    )
    sums: bool = Field(default=True, description="sums, shares, units and dates in the question")
    machine: bool = Field(default=False, description="the operating system and the processor")
    own: bool = Field(
        default=True, description="facts.md in the data directory, where there is one"
    )

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        try:
            if name is not None:
                ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is no time zone; write one like Europe/Paris") from None
        return name


class Facts(Extension):
    """Lays the sheet before everyone who speaks; nothing of it is guessed, nothing fetched."""

    description = "date, time, exact sums and your own facts.md, for everyone who speaks"
    Settings = FactsSettings
    nodes = ("annotator", "character", "vote", "synthesizer")
    settings: FactsSettings

    def before(self, at: At) -> Change | None:  # type: ignore[override]  # a thread's: it reads
        """The sheet, the same for everyone who is asked this question."""
        zone: tzinfo | None = ZoneInfo(self.settings.timezone) if self.settings.timezone else None
        now = datetime.fromtimestamp(at.state["asked_at"], UTC).astimezone(zone)
        lines: list[str] = []
        if self.settings.clock:
            lines.append(f"It is {now:%A}, {now:%Y-%m-%d}, {now:%H:%M} ({now:%Z}).")
        if self.settings.machine:
            lines.append(f"This machine: {platform.system()} on {platform.machine()}.")
        if self.settings.sums:
            lines += [f"Worked out: {line}" for line in worked_out(at.question, now.date())]
        if self.settings.own and (own := own_facts(at.question)):
            lines.append(f"Written down by the owner of this machine:\n{own}")
        return Change(material="\n".join(lines)) if lines else None


def facts_file() -> Path:
    """Where one's own facts are written down."""
    return paths.data_dir() / "facts.md"


def own_facts(question: str) -> str:
    """One's own facts: all of a short file, the lines of a long one that fit the question."""
    try:
        with facts_file().open(encoding="utf-8-sig", errors="replace") as file:
            text = file.read(_LARGEST).strip()
    except FileNotFoundError:
        return ""
    if len(text) <= _SHORT:
        return text
    lines = [line for line in text.splitlines() if line.strip()]
    numbers = sorted(WordIndex(lines).best(question, _LINES))
    return "\n".join(lines[number][:_SHORT] for number in numbers)
