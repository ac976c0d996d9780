"""Times of day, dates and years, as people write them in twelve languages."""

from __future__ import annotations

import re
from dataclasses import replace

from mom_council.voting.reading.answer import Answer
from mom_council.voting.reading.number_words import read_number_words
from mom_council.voting.reading.text import lazy_pattern

_MONTHS: dict[str, int] = {}
for _row in (
    "january february march april may june july august september october november december",
    "jan feb mar apr may jun jul aug sep oct nov dec",
    "januar februar märz april mai juni juli august september oktober november dezember",
    "jän feb mrz apr mai jun jul aug sept okt nov dez",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь",
    "जनवरी फ़रवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर अक्टूबर नवंबर दिसंबर",
    "يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر",
):
    _MONTHS.update({_name: _at + 1 for _at, _name in enumerate(_row.split())})
_NAMES = "|".join(sorted(map(re.escape, _MONTHS), key=len, reverse=True))
_DIGIT = lazy_pattern(r"\d")
_TIME = lazy_pattern(
    r"(?:at\s+|um\s+|à\s+|a las\s+|às\s+|alle\s+|в\s+)?(?P<east>[上下]午|早上|晚上|午[前後后]|오[전후])?\s*"
    r"(?P<hour>\d{1,2})(?:\s?(?P<mark>[:.hч時點点时시])\s?(?P<minute>[0-5]\d|\d(?=\s?[分분]))"
    r"(?::(?P<second>[0-5]\d))?\s?[分분]?)?\s*(?P<half>[ap]\.?\s?m\.?(?![\w])|noon|midnight|o'?clock)?"
    r"\s*(?P<word>uhr|hrs?|h|heures|ore|horas|часов|点|點|時|시)?"
    r"(?:\s*(?P<part>in the morning|in the afternoon|in the evening|at night))?\.?",
    re.IGNORECASE,
)
_TIME_IN_WORDS = lazy_pattern(
    r"(?P<part>half|(?:a\s+)?quarter|[\w-]+(?:\s+minutes)?)\s+(?P<side>past|after|to)\s+(?P<hour>\w+)(?P<rest>\s.+)?",
    re.IGNORECASE,
)
"""`half past seven`, `a quarter to 5`, `5 past 3 in the afternoon`."""
_WEEKDAY = lazy_pattern(
    r"(?P<day>mon|tues|wednes|thurs|fri|satur|sun)day,?\s+(?:the\s+)?(?=\S)|"
    r"(?:montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag),?\s+(?:der\s+|den\s+)?(?=\d)|"
    r"(?:le\s+)?(?:lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche)\s+(?=\d)|"
    r"(?:el\s+)?(?:lunes|martes|miércoles|jueves|viernes|sábado|domingo),?\s+(?=\d)",
    re.IGNORECASE,
)
_DAY_FIRST = lazy_pattern(
    rf"(?:the\s+|el\s+|le\s+|il\s+|am\s+)?(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.|er|º|ª)?\s*(?:of\s+|de\s+|do\s+)?"
    rf"(?P<month>{_NAMES})\.?(?:,?\s*(?:de\s+|del\s+|of\s+)?(?P<year>\d{{3,4}})(?:\s*(?:г\.?|года))?)?",
    re.IGNORECASE,
)
_MONTH_FIRST = lazy_pattern(
    rf"(?P<month>{_NAMES})\.?\s+(?:the\s+)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s*(?P<year>\d{{3,4}}))?",
    re.IGNORECASE,
)
_MONTH_YEAR = lazy_pattern(
    rf"(?P<month>{_NAMES})\.?,?\s+(?:de\s+|of\s+)?(?P<year>\d{{4}})", re.IGNORECASE
)
_ISO = lazy_pattern(r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})")
_EAST = lazy_pattern(
    r"(?:(?P<year>\d{3,4})\s*[年년]\s*)?(?P<month>\d{1,2})\s*[月월]\s*(?:(?P<day>\d{1,2})\s*[日일号]?)?"
)
_ERA = lazy_pattern(
    r"(?:(?P<before>ad|a\.d\.|(?P<east>(?:公元|西元|紀元|纪元|기원)\s?[前전]))\s*)?(?P<year>\d{1,5})\s?[年년]?\s*(?P<era>b\.?\s?c\.?(?:\s?e\.?)?|a\.?d\.?|c\.?e\.?|"
    r"v\.\s?chr\.?|n\.\s?chr\.?|av\.\s?j\.?-?c\.?|a\.\s?c\.?|до н\.\s?э\.?|н\.\s?э\.?)?",
    re.IGNORECASE,
)


def read_moment(text: str) -> Answer | None:
    """The time of day, the date or the year with an era that the whole text is."""
    if len(text) > 60:
        return None
    if not _DIGIT.search(text, 0, 40):
        return _named_time(text) or _said_time(text)
    return _time(text) or _date(text) or _era(text) or _on_weekday(text) or _said_time(text)


def _named_time(text: str) -> Answer | None:
    named = {"noon": (12, 0), "midday": (12, 0), "midnight": (0, 0)}.get(text.casefold())
    return _time_answer(text, *named) if named else None


def _said_time(text: str) -> Answer | None:
    match = _TIME_IN_WORDS.fullmatch(text) if " " in text else None
    if match is None:
        return None
    part = match["part"].lower().removeprefix("a ")
    earlier = match["side"].lower() == "to"
    if earlier and part != "quarter" and not part.endswith(" minutes"):
        return None  # ten to twelve
    hour = _count(match["hour"])
    minutes = {"half": 30, "quarter": 15}.get(part) or _count(part.removesuffix(" minutes"))
    if not 0 < hour < 25 or not 0 < minutes < 60:
        return None
    at = 60 * hour + (-minutes if earlier else minutes)
    return _time(f"{at // 60}:{at % 60:02}{match['rest'] or ''}")


def _count(word: str) -> int:
    """A whole number in digits or words; 0 for anything else."""
    if word.isdecimal():
        return int(word[:6])
    number = read_number_words(word)
    return int(number[0]) if number and not number[1] and number[0].denominator == 1 else 0


def _on_weekday(text: str) -> Answer | None:
    """`Thursday, July 4, 1776`: it says the date too."""
    weekday = _WEEKDAY.match(text) if text[0].isalpha() else None
    date = _date(text[weekday.end() :]) if weekday else None
    if weekday is None or date is None:
        return None
    key = f"{date.key} {weekday[0].strip(' ,').casefold()}"
    return replace(date, form=text, key=key, alts=frozenset({date.key}), bare=text.casefold())


def _time(text: str) -> Answer | None:
    match = _TIME.fullmatch(text)
    if match is None or int(match["hour"]) > 24:
        return None
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    half = (match["half"] or "").lower().replace(".", "").replace(" ", "")
    part = match["part"] or ""
    if match["east"]:
        late = match["east"] in ("下午", "晚上", "午後", "午后", "오후")
        part = "in the afternoon" if late else "in the morning"
    clock = bool(match["word"]) and match["mark"] != "."
    if not half and not part:
        word = (match["word"] or "").lower()
        if word not in ("", "uhr", "点", "點", "時", "시") and match["mark"] != ":":
            return None  # 5 h is a length of time
        if match["mark"] not in (":", "h", "ч", "時", "点", "时", "시") and not clock:
            return None
        if match["mark"] == ":" and not clock:
            return _clock_or_ratio(text, hour, match["minute"], match["second"])
        return _time_answer(text, hour, minute) if hour < 24 else None
    if half == "oclock":
        return Answer("time", text, f"clock:{hour % 12}", bare=text.casefold())
    if not 1 <= hour <= 12:
        return _time_answer(text, hour, minute) if half in ("am", "pm") and hour < 24 else None
    late = half == "pm" or "afternoon" in part or "evening" in part
    if half == "noon" or half == "midnight":
        return _time_answer(text, 12 if half == "noon" else 0, minute) if hour == 12 else None
    return _time_answer(text, hour % 12 + (12 if late else 0), minute)


def _clock_or_ratio(text: str, hour: int, minute: str | None, second: str | None) -> Answer | None:
    """`3:45` is a time of day, a length of time or a ratio: which, only the question knows."""
    if minute is None:
        return None
    form = f"{hour}:{minute}" + (f":{second}" if second else "")
    if hour >= 13 or text.startswith("0"):
        return _time_answer(text, hour, int(minute)) if hour < 24 and not second else None
    return Answer("time", form, f"colon:{form}", bare=form)


def _time_answer(text: str, hour: int, minute: int) -> Answer:
    return Answer("time", text, f"time:{hour:02}:{minute:02}", bare=text.casefold())


def _date(text: str) -> Answer | None:
    for pattern in (_DAY_FIRST, _MONTH_FIRST, _MONTH_YEAR, _ISO, _EAST):
        match = pattern.fullmatch(text)
        if match is None:
            continue
        named = match["month"]
        month = int(named) if named.isdigit() else _MONTHS.get(named.casefold(), 0)
        parts = match.groupdict()
        day = int(parts.get("day") or 0)
        if not 1 <= month <= 12 or day > 31:
            return None
        year = parts.get("year") or ""
        return Answer("date", text, f"date:{year}-{month}-{day or ''}", bare=text.casefold())
    return None


def _era(text: str) -> Answer | None:
    match = _ERA.fullmatch(text)
    if match is None or not (match["era"] or match["before"]):
        return None
    era = re.sub(r"[.\s-]", "", (match["era"] or "ad").casefold())
    before = era in ("bc", "bce", "vchr", "avjc", "ac", "донэ")
    key = f"date:{'-' if before or match['east'] else ''}{int(match['year'])}"
    return Answer("date", text, key, bare=text.casefold())
