"""Numbers in digits, with what stands around them: currency, scale words, units, percent signs.

Both decimal marks are read (`1,234.5`, `1.234,5`, `1 234,5`), and Indian groups (`12,34,567`).
What can be read in two ways (`3,14` is a number and a list) says so. Units are converted to one of
each dimension, so `5 m` is `500 cm` and not `5 cm`; a noun that is no unit stays beside the number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from mom_council.voting.reading.number_words import read_number_words
from mom_council.voting.reading.text import lazy_pattern


class Quantity(NamedTuple):
    """A number and what it counts.

    Attributes:
        value: as written, scale words included.
        unit: what follows it, as it was written; "" for a bare number.
        base: the value in the base unit of its dimension.
        words: the base unit, then the words after it, each in one spelling.
        listed: it may also be a list of two numbers (`3,14`).
        symbol: the currency that stands before it.
        compound: it has several parts, `2 hours 30 minutes`; `value` is the first alone.
    """

    value: Fraction
    unit: str = ""
    base: Fraction = Fraction(0)
    words: tuple[str, ...] = ()
    listed: bool = False
    symbol: str = ""
    compound: bool = False


# --- digits -----------------------------------------------------------------------------------

_BLANK = "[ \u00a0\u2009\u202f\u2007]"
_DIGITS = lazy_pattern(
    rf"(?P<blank>\d{{1,3}}(?:{_BLANK}\d{{3}})+(?:[.,]\d+)?(?![\d]))"
    r"|(?P<swiss>\d{1,3}(?:['’]\d{3})+(?:[.,]\d+)?(?!\d))"
    r"|(?P<german>\d{1,3}(?:\.\d{3})+,\d+(?![\d.,]\d)|\d{1,3}(?:\.\d{3}){2,}(?![\d.,]\d))"
    r"|(?P<indian>\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?(?![\d,]\d))"
    r"|(?P<english>[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?!\d|,\d))"
    r"|(?P<comma>\d+,\d+(?!\d|[,.]\d))"
    r"|(?P<plain>\d+(?:_\d{3})*(?:\.\d+)?|\.\d+)"
)
_MOST_DIGITS = 60


def read_digits(text: str, at: int = 0) -> tuple[Fraction, int, bool] | None:
    """The number at a place, where it ends, and whether it may be a list of two."""
    match = _DIGITS.match(text, at)
    if match is None or len(match[0]) > _MOST_DIGITS:
        return None
    form, digits = match.lastgroup, match[0]
    if form in ("blank", "swiss"):
        digits = re.sub(rf"{_BLANK}|['’]", "", digits).replace(",", ".")
    elif form == "german":
        digits = digits.replace(".", "").replace(",", ".")
    elif form in ("indian", "english"):
        digits = digits.replace(",", "")
    elif form == "comma":
        digits = digits.replace(",", ".")
    return Fraction(digits.replace("_", "")), match.end(), form == "comma"


_POWER_OF_TEN = lazy_pattern(
    r"[eE](?P<e>[-+]?\d{1,3})(?![\w.])|\s*[*x×·]\s*10\s*(?:\^|\*\*)\s*[({]?\s*(?P<ten>[-+−]?\d{1,3})\s*[)}]?"
)
_OVER = lazy_pattern(r"(?:\s*/\s*|\s+out\s+of\s+)(\d{1,30})(?![\w.,]\d|\d|/|-\d)")
_MIXED = lazy_pattern(r"(?:\s+|\s*\+\s*|-)(\d{1,12})\s*/\s*(\d{1,12})(?![\d/])")
_VULGAR = {
    "½": Fraction(1, 2), "¼": Fraction(1, 4), "¾": Fraction(3, 4), "⅓": Fraction(1, 3),
    "⅔": Fraction(2, 3), "⅕": Fraction(1, 5), "⅖": Fraction(2, 5), "⅗": Fraction(3, 5),
    "⅘": Fraction(4, 5), "⅙": Fraction(1, 6), "⅚": Fraction(5, 6), "⅛": Fraction(1, 8),
    "⅜": Fraction(3, 8), "⅝": Fraction(5, 8), "⅞": Fraction(7, 8),
}  # fmt: skip

# --- currency and scale -----------------------------------------------------------------------

_CURRENCIES = {
    "$": "$", "us$": "$", "usd": "$", "dollar": "$", "dollars": "$", "buck": "$", "bucks": "$",
    "dólares": "$", "dólar": "$", "dollari": "$", "доллар": "$", "доллара": "$", "долларов": "$",
    "美元": "$", "ドル": "$", "달러": "$", "डॉलर": "$", "دولار": "$", "us-dollar": "$",
    "€": "€", "eur": "€", "euro": "€", "euros": "€", "евро": "€", "欧元": "€", "ユーロ": "€",
    "유로": "€", "यूरो": "€", "يورو": "€",
    "£": "£", "gbp": "£", "¥": "¥", "jpy": "¥", "yen": "¥", "円": "¥", "엔": "¥",
    "元": "元", "cny": "元", "rmb": "元", "yuan": "元", "₹": "₹", "rs": "₹", "rs.": "₹", "inr": "₹",
    "rupee": "₹", "rupees": "₹", "रुपये": "₹", "रुपए": "₹", "रुपया": "₹", "₽": "₽", "rub": "₽",
    "рубль": "₽", "рубля": "₽", "рублей": "₽", "руб": "₽", "₩": "₩", "krw": "₩", "원": "₩", "won": "₩",
    "chf": "chf", "a$": "a$", "aud": "a$", "c$": "c$", "cad": "c$", "r$": "r$", "brl": "r$",
    "reais": "r$", "real": "r$", "₿": "btc", "btc": "btc",
}  # fmt: skip
_SYMBOL = lazy_pattern(
    r"(?:us\$|a\$|c\$|r\$|[$€£¥₹₽₩₿]|(?:usd|eur|gbp|jpy|cny|inr|rub|krw|chf|aud|cad|brl|rs\.?)(?=[\s\d]))\s*",
    re.IGNORECASE,
)
_SCALES = {
    "thousand": 3, "thousands": 3, "tausend": 3, "tsd": 3, "tsd.": 3, "mille": 3, "mil": 3,
    "mila": 3, "тысяч": 3, "тысячи": 3, "тысяча": 3, "тыс": 3, "тыс.": 3, "千": 3, "천": 3,
    "हज़ार": 3, "हजार": 3, "ألف": 3, "آلاف": 3,
    "lakh": 5, "lakhs": 5, "lac": 5, "lacs": 5, "लाख": 5, "crore": 7, "crores": 7, "करोड़": 7,
    "万": 4, "萬": 4, "만": 4, "亿": 8, "億": 8, "억": 8, "兆": 12, "조": 12, "百万": 6, "千万": 7,
    "million": 6, "millions": 6, "millionen": 6, "mio": 6, "mio.": 6, "mn": 6, "mln": 6, "mm": 0,
    "millón": 6, "millones": 6, "milhão": 6, "milhões": 6, "milione": 6, "milioni": 6,
    "миллион": 6, "миллиона": 6, "миллионов": 6, "млн": 6, "млн.": 6, "مليون": 6, "ملايين": 6,
    "billion": 9, "billions": 9, "bn": 9, "bn.": 9, "milliarde": 9, "milliarden": 9, "mrd": 9,
    "mrd.": 9, "milliard": 9, "milliards": 9, "miliardo": 9, "miliardi": 9, "bilhão": 9,
    "bilhões": 9, "миллиард": 9, "миллиарда": 9, "миллиардов": 9, "млрд": 9, "млрд.": 9,
    "مليار": 9, "अरब": 9, "trillion": 12, "trillions": 12, "tn": 12, "trn": 12,
    "billón": 12, "billones": 12, "billionen": 12,
}  # fmt: skip
del _SCALES["mm"]
_FACTORS = {
    "dozen": 12, "dozens": 12, "dutzend": 12, "douzaine": 12, "douzaines": 12, "docena": 12,
    "docenas": 12, "dúzia": 12, "dúzias": 12, "dozzina": 12, "dozzine": 12, "hundred": 100,
    "hundert": 100, "дюжина": 12, "дюжины": 12, "gross": 144, "दर्जन": 12,
}  # fmt: skip
_LETTER = "(?:[^\\W\\d_]|[\u0900-\u0903\u093a-\u094f\u0962\u0963\u064b-\u0652])"
"""A letter, or a sign that belongs to the one before it: Hindi and Arabic write vowels so."""
_LETTER_SCALES = {"k": 3, "K": 3, "m": 6, "M": 6, "B": 9, "b": 9, "T": 12}
_WORD = lazy_pattern(rf"\s*({_LETTER}+(?:\.(?=\s|$))?)")
_EAST_SCALE = lazy_pattern(r"\s*(百万|千万|[万萬만亿億억兆조千천])")
_EAST_PART = lazy_pattern(
    r"\s?(\d+(?:,\d{3})*(?:\.\d+)?)((?:[百백千천]?[万萬만亿億억兆조])|[百백千천])?"
)
"""`1億2000万`, `1억 2천만`."""

# --- units ------------------------------------------------------------------------------------


def _units(*rows: str) -> dict[str, tuple[str, Fraction]]:
    table: dict[str, tuple[str, Fraction]] = {}
    for row in rows:
        base, *entries = row.split("; ")
        for entry in entries:
            factor, words = entry.split(" ", 1)
            for word in words.split():
                table[word] = (base, Fraction(factor))
    return table


_UNITS = _units(
    "m; 1 m meter meters metre metres metro metros mètre mètres метр метра метров metri 米 メートル 미터 "
    "मीटर متر; 1000 km kilometer kilometers kilometre kilometres kilómetro kilómetros quilômetros "
    "kilomètres chilometri км 公里 千米 キロメートル 킬로미터 किलोमीटर; 1/100 cm centimeter centimeters "
    "centimetre centimetres zentimeter centímetros см 厘米; 1/1000 mm millimeter millimeters "
    "millimetre millimetres мм 毫米; 1/1000000 µm μm micrometer micrometers micron microns; "
    "1/1000000000 nm nanometer nanometers; 1 метров метры मी أمتار; 1000 километр километра километров キロ 킬로 किमी كم "
    "كيلومتر كيلومترات كيلومترا; 1/100 сантиметр сантиметра сантиметров センチ सेमी سم; 0.3048 ft foot feet; 0.0254 in inch inches; "
    "0.9144 yd yard yards; 1609.344 mi mile miles meile meilen millas milhas miglia; 1/10 dm",
    "kg; 1 kg kilogram kilograms kilo kilos kilogramm kilogramme chilogrammi chili кг килограмм килограмма килограммов 公斤 千克 キログラム 킬로그램 किलोग्राम किलो किग्रा كجم كغ كيلوغرام; "
    "1/1000 g gram grams gramm gramme grammes gramos gramas grammi г 克; "
    "1/1000000 mg milligram milligrams; 1000 t tonne tonnes; 0.45359237 lb lbs pound pounds; "
    "0.028349523125 oz ounce ounces",
    "s; 1 s sec secs second seconds sekunde sekunden seconde secondes segundo segundos secondi "
    "секунд секунды 秒 초 सेकंड ثانية ثواني ثوان; 60 min mins minute minutes minuten minuto minutos minuti минут "
    "минуты мин 分钟 分 분 मिनट دقيقة دقائق; 3600 h hr hrs hour hours stunde stunden heure heures hora horas "
    "ora ore час часа часов 小时 小時 個小時 个小时 時間 시간 घंटे घंटा घण्टे ساعة ساعات; 86400 day days tag tage tagen jour "
    "jours día días dia dias giorno giorni день дня дней 天 日間 일간 दिन يوم أيام; 604800 week weeks "
    "woche wochen semaine semaines semana semanas settimana settimane неделя недели недель 周 週間; "
    "1/1000 ms millisecond milliseconds",
    "month; 1 month months monat monate monaten mois mes meses mês mese mesi месяц месяца месяцев "
    "个月 ヶ月; 12 year years yr yrs jahr jahre jahren an ans année années año años ano anos anno anni "
    "год года лет 年間 साल वर्ष سنة سنوات",
    "l; 1 l L liter liters litre litres litro litros litri литр литра литров 升; 1/1000 ml mL "
    "milliliter milliliters millilitre millilitres; 3.785411784 gal gallon gallons",
    "°; 1 ° deg degree degrees grad degrés grados graus gradi градус градуса градусов 度 도",
    "°C; 1 °C celsius ℃ 摄氏度 攝氏度 セ氏度", "°F; 1 °F fahrenheit ℉", "kelvin; 1 kelvin kelvins",
    "%; 1 % percent per-cent prozent por-ciento por-cento процент процента процентов पर्सेंट प्रतिशत फ़ीसदी パーセント 퍼센트 프로 بالمئة بالمائة",
    "J; 1 J joule joules; 1000 kJ kilojoule kilojoules; 3600000 kWh kwh; 1000000 MJ; 4.184 cal calorie "
    "calories; 4184 kcal",
    "W; 1 W watt watts; 1000 kW kilowatt kilowatts; 1000000 MW", "N; 1 N newton newtons; 1000 kN",
    "V; 1 V volt volts; 1000 kV; 1/1000 mV", "A; 1 A amp amps ampere amperes; 1/1000 mA",
    "Ω; 1 Ω ohm ohms; 1000 kΩ", "Pa; 1 Pa pascal pascals; 1000 kPa; 101325 atm; 100000 bar bars",
    "Hz; 1 Hz hertz; 1000 kHz; 1000000 MHz; 1000000000 GHz", "mol; 1 mol mole moles",
    "byte; 1 B byte bytes; 1000 kB KB kilobyte kilobytes; 1000000 MB megabyte megabytes; "
    "1000000000 GB gigabyte gigabytes; 1000000000000 TB terabyte terabytes; 1/8 bit bits",
    "mph; 1 mph", "km/h; 1 kmh km/h kph", "m/s; 1 m/s mps", "rad; 1 rad radian radians",
    "ha; 1 ha hectare hectares", "acre; 1 acre acres", "¢; 1 ¢ cent cents",
)  # fmt: skip
_SPEEDS = {"mph": Fraction(1609344, 3600000), "km/h": Fraction(1000, 3600), "m/s": Fraction(1)}
_UNIT_TOKEN = lazy_pattern(
    rf"\s*(?P<name>°\s?[CFcf](?![\w])|[°%¢$€£¥₹Ω℃℉]|(?:km/h|m/s)(?!\w)|{_LETTER}+(?:-{_LETTER}+)*)"
    r"(?P<dot>\.(?=\s|$))?(?:\s*\^\s*(?P<power>-?\d))?"
)
_RAISED_BEFORE = lazy_pattern(
    r"\s*(?:(?:square\s|sq\.?\s|quadrat(?=\w)|平方|제곱|वर्ग\s|квадратн\w+\s)|"
    r"(?P<cube>cubic\s|cu\.?\s|kubik(?=\w)|立方|세제곱|घन\s|кубическ\w+\s))\s*(?=\S)",
    re.IGNORECASE,
)
_RAISED_AFTER = lazy_pattern(
    r"\s+(?:squared|(?:au )?carrés?|cuadrados?|quadrad[oi]s?|quadrati|مربعة?|"
    r"(?P<cube>cubed|cubes?|cúbicos?|cubi|مكعبة?))(?!\w)",
    re.IGNORECASE,
)
_BETWEEN = lazy_pattern(r"\s*(/|\bper\b|\bpro\b|\bpar\b|\bpor\b)\s*|\s*([*·])\s*", re.IGNORECASE)
_PLURAL = lazy_pattern(r"(?<=[a-z]{3})(?<![su])s$|(?<=[a-z]{3})(?<=ou)s$")
_ATTACHED = lazy_pattern(
    r"(?:°|%|[$€£¥₹₽₩¢]|km|cm|mm|kg|mg|ml|mL|ms|mph|kmh|km/h|m/s|hrs?|mins?|secs?|usd|eur|[GMkKT]B|kWh|kw|kW|"
    r"ft|lbs?|oz|Hz|kHz|MHz|GHz|[年月日]|[㎡℃℉])",
    re.IGNORECASE,
)
_NO_NOUN = frozenset({
    "am", "pm", "is", "are", "was", "were", "not", "or", "and", "to", "if", "but", "no", "than",
    "then", "nor", "except", "through", "until", "bc", "ad", "ce", "bce", "half", "i", "mod",
    "plus", "minus", "times", "because", "since", "so", "squared", "cubed", "factorial", "pi",
    "sqrt", "which", "that", "less", "fewer", "more", "of", "out", "versus", "vs", "und", "oder",
    "et", "ou", "y", "o", "e", "или", "и", "st", "nd", "rd", "th", "v.", "n.", "bzw", "bis", "à",
    "as", "after", "when", "while", "where", "due", "based", "with", "from", "uhr", "has", "have",
    "had", "he", "she", "it", "they", "we", "you", "this", "these", "those", "there", "here",
    "modulo", "divided", "multiplied", "sin", "cos", "tan", "log", "ln", "each-or",
})  # fmt: skip
_FILLER = frozenset({"a", "an", "the", "of", "in", "for", "all", "total", "altogether", "exactly"})
_MOST_WORDS = 6


def read_quantity(text: str) -> Quantity | None:
    """The number that the whole text is, with its unit; None where it is something else."""
    text = _ABOUT.sub("", text.strip(), count=1)
    if text[:1].isdigit():
        text = _in_full(text)
    negative = False
    at = 0
    sign = _SIGN.match(text)
    if sign:
        negative = sign[0][0] != "+"
        at = sign.end()
    symbol = _SYMBOL.match(text, at)
    currency = ""
    if symbol:
        at = symbol.end()
        currency = _CURRENCIES[symbol[0].strip().lower()]
        if text[at : at + 1] in "-−":
            negative, at = True, at + 1
    number = _read_number(text, at, whole=not currency)
    if number is None:
        spelled = None if symbol or (sign and not sign[0][0].isalpha()) else _in_words(text)
        if spelled is None:
            return None
        value, rest = spelled
        negative = listed = False
    else:
        value, at, listed = number
        rest = text[at:]
    value, rest = _apply_scale(value, rest, bool(currency))
    unit = _read_unit(value, rest.strip(), currency, glued=bool(rest) and not rest[0].isspace())
    if unit is None:
        return None
    quantity = unit._replace(listed=listed and not unit.words)
    if negative:
        return quantity._replace(value=-quantity.value, base=-quantity.base)
    return quantity


def _in_words(text: str) -> tuple[Fraction, str] | None:
    """A number in words, and what it counts."""
    spelled = read_number_words(text)
    if spelled is None:
        return None
    value, rest = spelled
    if re.match(r"[\d/^*+=]", rest) or (rest and not _counts(text, value, rest)):
        return None
    return value, f" {rest}" if rest else ""


def _counts(text: str, value: Fraction, rest: str) -> bool:
    """Whether number words count what follows: `forty apples`, and not `un homme`, `Seven Samurai`."""
    word = rest.split()[0].strip(".,").casefold()
    if word in _UNITS or word in _CURRENCIES or word in _SCALES:
        return True
    if value in (0, 1):
        return text.lower().startswith(("one ", "zero ")) and len(rest.split()) < 3
    return text[0].islower() or not rest[0].isupper()


_SIGN = lazy_pattern(r"(?:minus\s+|negative\s+|[-−–+])\s*", re.IGNORECASE)
_ABOUT = lazy_pattern(
    r"^(?:(?:about|approximately|approx\.?|roughly|around|exactly|only|just|nearly|almost|circa|ca\.|"
    r"ungefähr|etwa|genau|environ|exactement|aproximadamente|unos|unas|exactamente|cerca de|"
    r"около|примерно|ровно|大约|约|約|およそ|약|लगभग|حوالي)\s*|[~≈≃]\s*)+",
    re.IGNORECASE,
)


def _read_number(text: str, at: int, *, whole: bool) -> tuple[Fraction, int, bool] | None:
    vulgar = _VULGAR.get(text[at : at + 1])
    if vulgar is not None:
        return vulgar, at + 1, False
    special = _special_digits(text, at)
    if special is not None:
        return (*special, False)
    digits = read_digits(text, at)
    if digits is None:
        return None
    value, end, listed = digits
    if text[end : end + 1] in _VULGAR and text[end : end + 1]:
        return value + _VULGAR[text[end]], end + 1, False
    power = _POWER_OF_TEN.match(text, end)
    if power:
        exponent = int((power["e"] or power["ten"]).replace("−", "-"))
        if abs(exponent) > 300:
            return None
        return value * Fraction(10) ** exponent, power.end(), False
    over = _OVER.match(text, end)
    if over and int(over[1]) and "." not in text[at:end]:
        return value / int(over[1]), over.end(), False
    mixed = _MIXED.match(text, end) if value.denominator == 1 and whole else None
    if mixed and int(mixed[2]) and (int(mixed[1]) < int(mixed[2]) or "-" not in mixed[0]):
        return value + Fraction(int(mixed[1]), int(mixed[2])), mixed.end(), False
    if text[end : end + 2].strip()[:1] in _VULGAR and text[end : end + 2].strip():
        gap = len(text[end : end + 2]) - len(text[end : end + 2].lstrip())
        return value + _VULGAR[text[end + gap]], end + gap + 1, False
    return value, end, listed


_COMPACT = (
    (lazy_pattern(r"(\d+)\s?h\s?(\d{1,2})\s?m(?:in)?\.?"), r"\1 h \2 min"),
    (lazy_pattern(r"(\d+)\s?['′]\s?(\d{1,2}(?:\.\d+)?)\s?(?:\"|″|'')"), r"\1 ft \2 in"),
)


def _in_full(text: str) -> str:
    """`1h30m` and `6'2"` with their units written out."""
    for pattern, whole in _COMPACT if "h" in text or "'" in text or "′" in text else ():
        match = pattern.fullmatch(text)
        if match:
            return match.expand(whole)
    return text


_OTHER_BASE = lazy_pattern(
    r"0(?:[xX](?P<x>[\da-fA-F]{1,16})|[bB](?P<b>[01]{1,64})|[oO](?P<o>[0-7]{1,22}))(?!\w)"
)
_REPEATING = lazy_pattern(r"(\d+)[.,](\d{0,12})\((\d{1,12})\)(?!\w)")
_PARTS_OF = lazy_pattern(r"(\d{1,12})\s?(?:分之|分の|분의)\s?(\d{1,12})(?!\d)")


def _special_digits(text: str, at: int) -> tuple[Fraction, int] | None:
    """`0x1F`, `0.(3)`, `3分の1` and `1億2000万`: the value, and where it ends."""
    ahead = text[at : at + 40]
    based = _OTHER_BASE.match(ahead) if ahead[:1] == "0" else None
    if based:
        digits, base = based[str(based.lastgroup)], {"x": 16, "b": 2, "o": 8}[str(based.lastgroup)]
        return Fraction(int(digits, base)), at + based.end()
    again = _REPEATING.match(ahead) if "(" in ahead else None
    if again:
        below = 10 ** len(again[2]) * (10 ** len(again[3]) - 1)
        above = int(again[1] + again[2] + again[3]) - int(again[1] + again[2])
        return Fraction(above, below), at + again.end()
    if ahead.isascii():
        return None
    part = _PARTS_OF.match(ahead)
    if part and int(part[1]):
        return Fraction(int(part[2]), int(part[1])), at + part.end()
    total, last, end, parts = Fraction(0), Fraction(10**20), 0, 0
    for _ in range(5):
        match = _EAST_PART.match(ahead, end)
        scale = 10 ** sum(_EAST_TENS[sign] for sign in (match[2] or "")) if match else 0
        if match is None or scale >= last or (parts == 0 and not match[2]):
            break
        total += Fraction(match[1].replace(",", "")) * scale
        last, end, parts = Fraction(scale), match.end(), parts + max(1, len(match[2] or ""))
    return (total, at + end) if parts > 1 else None


_EAST_TENS = {sign: _SCALES[sign] for sign in "万萬만亿億억兆조千천"} | {"百": 2, "백": 2}


def _apply_scale(value: Fraction, rest: str, money: bool) -> tuple[Fraction, str]:
    """Scale words taken in: `2.5 million`, `2 lakh`, `$5M`, `3万`, `5 dozen`."""
    for _ in range(3):
        east = _EAST_SCALE.match(rest)
        if east:
            value, rest = value * 10 ** _SCALES[east[1]], rest[east.end() :]
            continue
        word = _WORD.match(rest)
        if not word:
            break
        name = word[1]
        letter = _LETTER_SCALES.get(name)
        glued = not rest[0].isspace()
        followed = rest[word.end() :].strip()
        if letter is not None and glued and (money or (name == "k" and followed[:1].isalpha())):
            value, rest = value * Fraction(10) ** letter, rest[word.end() :]
            break
        name = name.casefold()
        scale = _SCALES.get(name, _SCALES.get(name.rstrip(".")))
        factor = _FACTORS.get(name)
        if scale is None and factor is None:
            break
        value *= Fraction(10) ** scale if scale is not None else Fraction(factor or 1)
        rest = rest[word.end() :]
        linked = re.match(r"\s+(?:of|de|di|d')\s*(?=\w)", rest)
        if linked and factor is None:
            rest = " " + rest[linked.end() :]
    raised = None if money else _RAISED_AFTER.fullmatch(rest.rstrip(" .!"))
    return (value ** (3 if raised["cube"] else 2), "") if raised else (value, rest)


def _read_unit(value: Fraction, rest: str, currency: str, *, glued: bool) -> Quantity | None:
    """What follows the digits; None where it makes the whole no number."""
    base = value
    words: list[str] = [currency] if currency else []
    if not rest:
        return Quantity(value, "", base, tuple(words), symbol=currency)
    if glued and not _ATTACHED.match(rest) and rest[0].isascii() and rest[0] != "-":
        return None  # 3x, 5pm, 2^10
    if re.match(r"°\s*[NSEWО](?!\w)|[πθαβγδεζηικλνξρστυφχψω]", rest) or len(rest) > 100:
        return None
    rest = _LONG_UNIT.sub(lambda long: f"°{long[1][0].upper()}" if long[1] else "%", rest)
    if rest[0] == "-":
        rest = rest[1:]  # 5-minute
    written = " ".join(rest.strip(" .,;:!").split())
    base, unit, rest = _dimension(value, rest)
    compound = None
    if unit:
        compound = _compound(base, unit, rest)
        if compound is not None:
            base, rest = compound
        words.append(unit)
    tail = _noun(rest)
    if tail is None:
        return None
    words += tail
    if currency and words[:2] == [currency, currency]:
        words = words[1:]
    return Quantity(
        value, written, base, tuple(words), symbol=currency, compound=compound is not None
    )


def _dimension(value: Fraction, rest: str) -> tuple[Fraction, str, str]:
    """The leading unit, converted: the value in its base unit, that unit, what is left."""
    factor = Fraction(1)
    powers: dict[str, int] = {}
    over = False
    rest = _METRES_PER.sub(r"\1*s^\2", rest)
    for _ in range(4):
        token = _one_unit(rest)
        if token is None:
            break
        unit, size, power, after = token
        power = -power if over else power
        factor *= size ** (power if unit not in _SPEEDS else 1)
        powers[unit] = powers.get(unit, 0) + power
        rest = after
        link = _BETWEEN.match(rest)
        if link is None or _one_unit(rest[link.end() :]) is None:
            break
        over = bool(link[1])
        rest = rest[link.end() :]
    name = _written_dimension(powers)
    if name in _SPEEDS:
        return value * factor * _SPEEDS[name], "m/s", rest
    return value * factor, name, rest


def _one_unit(rest: str) -> tuple[str, Fraction, int, str] | None:
    word = _RAISED_BEFORE.match(rest)
    power = 0
    if word:
        power = 3 if word["cube"] else 2
        rest = rest[word.end() :]
    token = _UNIT_TOKEN.match(rest)
    if token is None:
        return None
    name = token["name"].replace(" ", "")
    unit = _UNITS.get(name) or _UNITS.get(name.casefold())
    if unit is None and name.casefold() in _CURRENCIES:
        unit = (_CURRENCIES[name.casefold()], Fraction(1))
    if unit is None or (len(name) == 1 and name.isalpha() and name not in _UNITS):
        return None
    raised = int(token["power"]) if token["power"] else 1
    if power and (unit[0].isalpha() or len(unit[0]) == 1):
        raised = power
    end = token.end() if token["power"] or token["dot"] else token.end("name")
    trailing = _RAISED_AFTER.match(rest, end)
    if trailing:
        raised = 3 if trailing["cube"] else 2
        end = trailing.end()
    return unit[0], unit[1], raised, rest[end:]


def _written_dimension(powers: Mapping[str, int]) -> str:
    """`m/s^2`, in one order."""
    written = {
        unit: unit + (f"^{abs(power)}" if abs(power) != 1 else "") for unit, power in powers.items()
    }
    above = "*".join(written[unit] for unit in sorted(powers) if powers[unit] > 0)
    return above + "".join(f"/{written[unit]}" for unit in sorted(powers) if powers[unit] < 0)


_METRES_PER = lazy_pattern(r"^(\s*k?m)\s?s\s?\^\s?\(?(-\d)\)?")
"""`ms^-2`: metres, not milliseconds."""
_LONG_UNIT = lazy_pattern(
    r"^(?:(?:degrees?|deg\.?|degrés?|grad|grados?|graus?|gradi|градус\w*)\s+(?:по\s+)?(celsius|fahrenheit)|"
    r"per\s+cent[oi]?|por\s+cient?o|por\s+cento)(?!\w)",
    re.IGNORECASE,
)
_LINK = lazy_pattern(r"\s*(?:,\s*)?(?:and\s+|und\s+|et\s+|y\s+|e\s+|и\s+)?(?=\w)")


def _compound(base: Fraction, unit: str, rest: str) -> tuple[Fraction, str] | None:
    """`2 hours 30 minutes`, `5 ft 3 in`: further parts of the same dimension, added up."""
    joined = None
    for _ in range(4):
        link = _LINK.match(rest)
        if link is None:
            break
        digits = read_digits(rest, link.end())
        words = read_number_words(rest[link.end() :]) if digits is None else None
        if digits is None and words is None:
            break
        number, unread = (digits[0], rest[digits[1] :]) if digits else words or (Fraction(0), "")
        more, other, after = _dimension(number, unread)
        if other != unit:
            break
        base, rest = base + more, after
        joined = (base, rest)
    return joined


def _noun(rest: str) -> list[str] | None:
    """The words after number and unit, in one spelling; None where they are no mere noun."""
    rest = rest.strip().strip(".,;:!").strip()
    if not rest:
        return []
    link = re.match(r"(?:/|per\b)\s*", rest, re.IGNORECASE)
    if link:
        rest = "per " + rest[link.end() :]
    if re.search(r"[\d=<>^*+\\√(){}\[\]:;|!?\n\"]|\.\s", rest):
        return None
    if any(sign.isnumeric() for sign in rest):
        return None
    words = rest.casefold().split()
    if len(words) > _MOST_WORDS or words[0].strip(",.") in _NO_NOUN:
        return None
    if any(word in ("or", "and", "because", "is", "are", "but", "than", "not") for word in words):
        return None
    if len(words) == 1 and len(words[0]) == 1 and words[0].isascii():
        return None
    return [_singular(word.strip(",.'")) for word in words if word not in _FILLER]


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("shes", "ches", "xes", "sses")):
        return word[:-2]
    return _PLURAL.sub("", word)
