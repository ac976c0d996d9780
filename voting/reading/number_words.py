"""Numbers in words, in twelve languages: `forty-two`, `zweiundvierzig`, `四十二`, `बयालीस`.

One parser serves the languages that add and multiply words (most of Europe, Arabic, Hindi), one
the East Asian numerals. A word that means a number in one language and something else in another
("six" is French too, "sei" German) has the same value wherever it is a number.
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction

from mom_council.voting.reading.text import lazy_pattern


def _rows(*rows: str) -> dict[str, int]:
    """`first: words` rows to word -> value; `a/b` are two spellings of one value."""
    values: dict[str, int] = {}
    for row in rows:
        first, _, words = row.partition(":")
        start, _, step = first.partition("+")
        for at, word in enumerate(words.split()):
            for spelling in word.split("/"):
                values[spelling] = int(start) + at * int(step or 1)
    return values


_UNITS = _rows(
    # English
    "0: zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen",
    "20+10: twenty thirty forty/fourty fifty sixty seventy eighty ninety",
    # German
    "0: null eins/ein/eine zwei/zwo drei vier fünf/fuenf sechs sieben acht neun zehn elf "
    "zwölf/zwoelf dreizehn vierzehn fünfzehn/fuenfzehn sechzehn siebzehn achtzehn neunzehn",
    "20+10: zwanzig dreißig/dreissig vierzig fünfzig/fuenfzig sechzig siebzig achtzig neunzig",
    # French
    "0: zéro un/une deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze "
    "quinze seize",
    "20+10: vingt/vingts trente quarante cinquante soixante septante huitante/octante nonante",
    # Spanish
    "0: cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince "
    "dieciséis/dieciseis diecisiete dieciocho diecinueve veinte veintiuno/veintiún "
    "veintidós/veintidos veintitrés/veintitres veinticuatro veinticinco veintiséis/veintiseis "
    "veintisiete veintiocho veintinueve",
    "30+10: treinta cuarenta cincuenta sesenta setenta ochenta noventa",
    "100+100: cien/ciento doscientos trescientos cuatrocientos quinientos seiscientos "
    "setecientos ochocientos novecientos",
    # Portuguese
    "1: um/uma dois/duas três quatro cinco seis sete oito nove dez onze doze treze "
    "catorze/quatorze quinze dezesseis/dezasseis dezessete/dezassete dezoito dezenove/dezanove "
    "vinte",
    "30+10: trinta quarenta cinquenta sessenta setenta oitenta noventa",
    "100+100: cem/cento duzentos trezentos quatrocentos quinhentos seiscentos setecentos "
    "oitocentos novecentos",
    # Italian
    "1: uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici "
    "quindici sedici diciassette diciotto diciannove venti",
    "20+10: vent trent/trenta quarant/quaranta cinquant/cinquanta sessant/sessanta "
    "settant/settanta ottant/ottanta novant/novanta",
    # Russian
    "0: ноль/нуль один/одна/одно два/две три четыре пять шесть семь восемь девять десять "
    "одиннадцать двенадцать тринадцать четырнадцать пятнадцать шестнадцать семнадцать "
    "восемнадцать девятнадцать",
    "20+10: двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто",
    "100+100: сто двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот",
    # Hindi
    "0: शून्य एक दो तीन चार पाँच/पांच छह/छः सात आठ नौ दस ग्यारह बारह तेरह चौदह पंद्रह/पन्द्रह सोलह सत्रह अठारह "
    "उन्नीस बीस इक्कीस बाईस तेईस चौबीस पच्चीस छब्बीस सत्ताईस अट्ठाईस उनतीस तीस इकतीस बत्तीस तैंतीस चौंतीस "
    "पैंतीस छत्तीस सैंतीस अड़तीस उनतालीस चालीस इकतालीस बयालीस तैंतालीस चौवालीस/चवालीस पैंतालीस छियालीस "
    "सैंतालीस अड़तालीस उनचास पचास इक्यावन बावन तिरपन चौवन पचपन छप्पन सत्तावन अट्ठावन उनसठ साठ इकसठ "
    "बासठ तिरसठ चौंसठ पैंसठ छियासठ सड़सठ अड़सठ उनहत्तर सत्तर इकहत्तर बहत्तर तिहत्तर चौहत्तर पचहत्तर छिहत्तर "
    "सतहत्तर अठहत्तर उन्यासी अस्सी इक्यासी बयासी तिरासी चौरासी पचासी छियासी सत्तासी अट्ठासी नवासी नब्बे "
    "इक्यानवे बानवे तिरानवे चौरानवे पचानवे छियानवे सत्तानवे अट्ठानवे निन्यानवे",
    # Arabic
    "0: صفر واحد/واحدة اثنان/اثنين/إثنان ثلاثة/ثلاث أربعة/أربع/اربعة خمسة/خمس ستة/ست سبعة/سبع "
    "ثمانية/ثمان/ثماني تسعة/تسع عشرة/عشر",
    "20+10: عشرون/عشرين ثلاثون/ثلاثين أربعون/أربعين/اربعون خمسون/خمسين ستون/ستين سبعون/سبعين "
    "ثمانون/ثمانين تسعون/تسعين",
)
_TIMES = {
    "hundred": 100, "hundert": 100, "cent": 100, "cents": 100, "cento": 100, "सौ": 100,
    "مئة": 100, "مائة": 100,
    "thousand": 1000, "tausend": 1000, "mille": 1000, "mila": 1000, "mil": 1000,
    "тысяча": 1000, "тысячи": 1000, "тысяч": 1000, "हज़ार": 1000, "हजार": 1000, "ألف": 1000,
    "آلاف": 1000, "الاف": 1000, "ألفا": 1000, "lakh": 10**5, "lakhs": 10**5, "लाख": 10**5, "crore": 10**7, "crores": 10**7,
    "करोड़": 10**7, "million": 10**6, "millions": 10**6, "millionen": 10**6, "millones": 10**6,
    "millón": 10**6, "milhão": 10**6, "milhões": 10**6, "milione": 10**6, "milioni": 10**6,
    "миллион": 10**6, "миллиона": 10**6, "миллионов": 10**6, "مليون": 10**6,
    "ملايين": 10**6, "مليونا": 10**6,
    "billion": 10**9, "milliarde": 10**9, "milliarden": 10**9, "milliard": 10**9,
    "milliards": 10**9, "miliardo": 10**9, "miliardi": 10**9, "миллиард": 10**9, "مليار": 10**9,
    "dozen": 12, "dutzend": 12, "douzaine": 12, "docena": 12, "dúzia": 12, "dozzina": 12,
    "score": 20, "trillion": 10**12,
}  # fmt: skip
_AND = frozenset({"and", "und", "et", "y", "e", "و"})
_MINUS = frozenset(
    {"minus", "negative", "moins", "menos", "meno", "минус", "ऋण", "ناقص", "negativ"}
)
_GERMAN = lazy_pattern(
    r"(tausend|hundert|und|einund|ein|zwei|zwo|drei|vier|fünf|fuenf|sechs|sieben|acht|neun|zehn|elf|"
    r"zwölf|zwanzig|dreißig|dreissig|vierzig|fünfzig|fuenfzig|sechzig|siebzig|achtzig|neunzig|"
    r"dreizehn|vierzehn|fünfzehn|sechzehn|siebzehn|achtzehn|neunzehn)"
)
_ITALIAN = lazy_pattern(
    r"^(vent|trent|quarant|cinquant|sessant|settant|ottant|novant)[aoi]?"
    r"(uno|due|tre|tré|quattro|cinque|sei|sette|otto|nove)$"
)
_ITALIAN_HUNDREDS = lazy_pattern(r"(due|tre|quattro|cinque|sei|sette|otto|nove)?cent(o?)(.*)")
_ARABIC_HUNDREDS = lazy_pattern(r"(ثلاث|أربع|اربع|خمس|ست|سبع|ثماني?|تسع)(?:مائة|مئة)")
_ARABIC_TEEN_ONES = {
    "أحد": 1, "احد": 1, "إحدى": 1, "احدى": 1, "اثنا": 2, "اثني": 2, "اثنتا": 2, "اثنتي": 2,
    "إثنا": 2, "إثني": 2,
}  # fmt: skip
"""What stands for 1 and 2 in 11 and 12 alone; by itself `أحد` is somebody."""
_ARABIC_TWO = {
    "مئتان": 200, "مئتين": 200, "مائتان": 200, "مائتين": 200, "مئتا": 200, "مئتي": 200, "ألفان": 2000,
    "ألفين": 2000, "مليونان": 2 * 10**6, "مليونين": 2 * 10**6,
}  # fmt: skip
_ARABIC_ENDING = lazy_pattern("[\u064b-\u0652]")
_PARTS = {
    "half": Fraction(1, 2), "halves": Fraction(1, 2), "third": Fraction(1, 3),
    "thirds": Fraction(1, 3), "quarter": Fraction(1, 4), "quarters": Fraction(1, 4),
    "fourth": Fraction(1, 4), "fourths": Fraction(1, 4), "fifth": Fraction(1, 5),
    "fifths": Fraction(1, 5), "sixth": Fraction(1, 6), "sixths": Fraction(1, 6),
    "seventh": Fraction(1, 7), "sevenths": Fraction(1, 7), "eighth": Fraction(1, 8),
    "eighths": Fraction(1, 8), "ninth": Fraction(1, 9), "ninths": Fraction(1, 9),
    "tenth": Fraction(1, 10), "tenths": Fraction(1, 10),
}  # fmt: skip


_PARTS_OF = {
    part: Fraction(1, below)
    for below, words in (
        (3, "drittel tiers tercio tercios terço terços terzo terzi треть трети तिहाई"),
        (4, "viertel quart quarts cuarto cuartos quarto quartos quarti четверть четверти चौथाई"),
        (5, "fünftel cinquième cinquièmes quinto quintos quinti пятая пятых"),
        (6, "sechstel sixième sixièmes sexto sextos sesto sesti шестая шестых"),
        (7, "siebtel septième septièmes séptimo séptimos settimo settimi"),
        (
            8,
            "achtel huitième huitièmes octavo octavos oitavo oitavos ottavo ottavi восьмая восьмых",
        ),
        (9, "neuntel neuvième neuvièmes noveno novenos nono nonos noni"),
        (10, "zehntel dixième dixièmes décimo décimos decimo decimi десятая десятых"),
    )
    for part in words.split()
}
"""Parts that a number comes before: `zwei Drittel`, `dos tercios`."""
_ALONE = {
    "half": 2, "hälfte": 2, "die hälfte": 2, "ein halb": 2, "moitié": 2, "la moitié": 2, "un demi": 2,
    "mitad": 2, "la mitad": 2, "metade": 2, "a metade": 2, "meio": 2, "metà": 2, "la metà": 2,
    "un mezzo": 2, "половина": 2, "一半": 2, "半分": 2, "절반": 2, "आधा": 2, "نصف": 2, "ثلث": 3, "ربع": 4,
}  # fmt: skip


@functools.lru_cache(maxsize=512)
def read_number_words(text: str) -> tuple[Fraction, str] | None:
    """The number that a text begins with in words, and the words after it; None without one."""
    east = _read_east_asian(text)
    if east is not None:
        return east
    text = _without_endings(text).replace("-", " ")
    if len(text) < 12 and text.casefold() in _ALONE:
        return Fraction(1, _ALONE[text.casefold()]), ""
    words, rest = text.casefold().split(), text.split()
    negative = bool(words) and words[0] in _MINUS
    start = 1 if negative else 0
    if start < len(words) and words[start] in ("a", "one") and len(words) > start + 1:
        part = _PARTS.get(words[start + 1])
        if part is not None:
            value = -part if negative else part
            return value, " ".join(rest[start + 2 :])
        if words[start] == "a" and words[start + 1] in _TIMES:
            start += 1
    value_at = _sum(words, start)
    if value_at is None:
        return None
    number, at = value_at
    if at < len(words) and words[at] in _PARTS and number < 100 and words[at].endswith("s"):
        number, at = number * _PARTS[words[at]], at + 1
    elif at < len(words) and words[at] in _PARTS_OF and number < 100:
        number, at = number * _PARTS_OF[words[at]], at + 1
    elif words[at : at + 3] == ["and", "a", "half"]:
        number, at = number + Fraction(1, 2), at + 3
    return (-number if negative else number), " ".join(rest[at:])


def _without_endings(text: str) -> str:
    """Without the vowel signs of Arabic: `ألفاً` is `ألفا`."""
    return text if text.isascii() else _ARABIC_ENDING.sub("", text)


def _sum(words: list[str], at: int) -> tuple[Fraction, int] | None:
    """The words of a number added and multiplied up, and where the first other word stands."""
    number, begin = _Number(), at
    while at < len(words):
        if at > begin and words[at] in _AND:
            if not _goes_on(words, at + 1):
                break
            at += 1
        word, value, after = _next_word(words, at)
        if value is None or not number.take(word, value, later=at > begin):
            break
        at = after
    return (Fraction(number.total + number.current), at) if at > begin else None


class _Number:
    """A number as it is said: what is complete, what is being said, and what may follow."""

    def __init__(self) -> None:
        self.total = self.current = 0
        self.limit = _ANY

    def take(self, word: str, value: int, *, later: bool) -> bool:
        """Take a word in; False where it does not belong to this number."""
        word = word.removeprefix("و")
        if _multiplies(word, value, later):
            if value <= 200:
                self.current = (self.current or 1) * value
                self.limit = value
            elif value > self.total > 0:  # mil millones
                self._complete((self.total + self.current) * value)
            else:
                self._complete(self.total + (self.current or 1) * value)
        elif word in _ARABIC_TWO and value >= 1000:
            self._complete(self.total + value)
        elif word in ("vingt", "vingts") and self.current % 100 == 4:
            self.current, self.limit = self.current + 76, 80  # quatre-vingts
        elif value < self.limit or _follows(word, value, self.limit):
            self.current += value
            self.limit = value if value >= 10 else _ONES
        else:
            return False
        return True

    def _complete(self, total: int) -> None:
        self.total, self.current, self.limit = total, 0, _ANY


def _next_word(words: list[str], at: int) -> tuple[str, int | None, int]:
    """The word at a place, its value, and where the next one stands."""
    word = words[at]
    one = None if word in _UNITS else _ARABIC_TEEN_ONES.get(word.removeprefix("و"))
    if one is not None:  # 11 and 12 are two words
        teen = words[at + 1 : at + 2] in (["عشر"], ["عشرة"])
        return word, 10 + one if teen else None, at + 2
    if word.endswith(",") and _TIMES.get(word[:-1], 0) >= 1000 and _goes_on(words, at + 1):
        word = word[:-1]  # one thousand, two hundred
    return word, _word(word), at + 1


def _goes_on(words: list[str], at: int) -> bool:
    """Whether the number goes on here."""
    return at < len(words) and _next_word(words, at)[1] is not None


_ANY = 10**18
_ONES = 1
"""After ones only a factor may come, or the tens of Arabic."""


def _multiplies(word: str, value: int, later: bool) -> bool:
    if word in ("dozen", "score"):
        return later
    return word in _TIMES and value >= 100


def _follows(word: str, value: int, limit: int) -> bool:
    """What may follow though it is not smaller: `soixante-dix`, `اثنان وأربعون` (2 and 40)."""
    if limit in (60, 80):
        return 10 <= value < 20
    return limit == _ONES and value >= 10 and word[0] >= "\u0600" and word not in _TIMES


def _word(word: str) -> int | None:
    value = _UNITS.get(word)
    if value is None:
        value = _TIMES.get(word)
    if value is not None or len(word) < 4:
        return value
    if word[0] >= "\u0600":
        return _arabic(word) or (_word(word[1:]) if word[0] == "و" else None)
    return _italian(word) or _german(word)


def _arabic(word: str) -> int | None:
    """`ثلاثمائة`, `ألفان`: a hundred with its factor, and two of a kind, are one word."""
    hundreds = _ARABIC_HUNDREDS.fullmatch(word)
    if hundreds:
        ones = hundreds[1].removesuffix("ي") if hundreds[1] == "ثماني" else hundreds[1]
        return 100 * _UNITS.get(ones, 4)
    return _ARABIC_TWO.get(word)


def _italian(word: str) -> int | None:
    """`quarantadue`, `ottocentosessantotto`, `tremiladuecento`."""
    thousands, mark, below = word.partition("mila" if "mila" in word else "mille")
    if mark and (thousands or mark == "mille"):
        above = _italian_hundreds(thousands) if thousands else 1
        rest = _italian_hundreds(below) if below else 0
        return None if above is None or rest is None else 1000 * above + rest
    return _italian_hundreds(word)


def _italian_hundreds(word: str) -> int | None:
    hundreds = _ITALIAN_HUNDREDS.fullmatch(word)
    if hundreds is None:
        return _italian_tens(word)
    hundred = 100 * (_UNITS[hundreds[1]] if hundreds[1] else 1)
    if not hundreds[3]:
        return hundred
    # In `centotto` and `centottanta` the hundred gives its last letter to what follows.
    rest = _italian_tens(hundreds[3]) or _italian_tens(hundreds[2] + hundreds[3])
    return None if rest is None else hundred + rest


def _italian_tens(word: str) -> int | None:
    pair = _ITALIAN.match(word)
    if pair:
        return _UNITS[pair[1]] + _UNITS[pair[2].replace("é", "e")]
    value = _UNITS.get(word.replace("é", "e"))
    return value if value is not None and value < 100 else None


def _german(word: str) -> int | None:
    """`zweiundvierzig`, `dreihundertfünf`, `zweitausendvierundzwanzig`."""
    thousands, mark, below = word.rpartition("tausend")
    if mark:
        above = _german_hundreds(thousands) if thousands else 1
        rest = _german_hundreds(below) if below else 0
        return None if above is None or rest is None else above * 1000 + rest
    return _german_hundreds(word)


def _german_hundreds(word: str) -> int | None:
    hundreds, mark, below = word.partition("hundert")
    if mark:
        above = _UNITS.get(hundreds, None) if hundreds else 1
        rest = _german_tens(below.removeprefix("und")) if below else 0
        return None if above is None or rest is None or above > 9 else above * 100 + rest
    return _german_tens(word)


def _german_tens(word: str) -> int | None:
    if word in _UNITS:
        return _UNITS[word]
    ones, mark, tens = word.partition("und")
    if mark and _GERMAN.fullmatch(ones) and _GERMAN.fullmatch(tens):
        one, ten = _UNITS.get(ones), _UNITS.get(tens)
        if one is not None and ten is not None and one < 10 <= ten:
            return one + ten
    return None


# --- Chinese, Japanese, Korean ----------------------------------------------------------------

_HAN = {
    "零": 0, "〇": 0, "一": 1, "二": 2, "两": 2, "兩": 2, "三": 3, "四": 4, "五": 5, "六": 6,
    "七": 7, "八": 8, "九": 9, "十": 10, "百": 100, "千": 1000, "万": 10**4, "萬": 10**4,
    "亿": 10**8, "億": 10**8, "兆": 10**12,
    "영": 0, "공": 0, "일": 1, "이": 2, "삼": 3, "사": 4, "오": 5, "육": 6, "칠": 7, "팔": 8,
    "구": 9, "십": 10, "백": 100, "천": 1000, "만": 10**4, "억": 10**8, "조": 10**12,
}  # fmt: skip
_EAST = lazy_pattern(
    rf"(?:负|負|マイナス|마이너스 ?)?[{''.join(_HAN)}]+(?:(?<=[만억조]) [{''.join(_HAN)}]{{2,}}(?![가-힣]))*"
)
_BELOW = "负負マ마"
"""The first letters of the signs of negative numbers."""
_KOREAN_TENS = {
    "열": 10, "스물": 20, "스무": 20, "서른": 30, "마흔": 40, "쉰": 50, "예순": 60, "일흔": 70,
    "여든": 80, "아흔": 90,
}  # fmt: skip
_KOREAN_ONES = {
    "하나": 1, "한": 1, "둘": 2, "두": 2, "셋": 3, "세": 3, "넷": 4, "네": 4, "다섯": 5,
    "여섯": 6, "일곱": 7, "여덟": 8, "아홉": 9,
}  # fmt: skip
_KOREAN = lazy_pattern(
    rf"(?P<tens>{'|'.join(_KOREAN_TENS)})?(?P<ones>{'|'.join(_KOREAN_ONES)})?(?![가-힣]{{2}})"
)


_EAST_PART = lazy_pattern(
    rf"([{''.join(_HAN)}]+)\s?(?:分之|分の|분의)\s?([{''.join(_HAN)}]+)(?![\d.])"
)
"""`三分之一`."""


def _read_east_asian(text: str) -> tuple[Fraction, str] | None:
    if text[:1].isascii():
        return None
    part = _EAST_PART.match(text)
    if part:
        below, above = _east_asian(part[1]), _east_asian(part[2])
        if below and above is not None:
            return Fraction(above, below), text[part.end() :].strip()
    native = _KOREAN.match(text)
    if native and native[0] and len(native[0]) > 1:
        value = _KOREAN_TENS.get(native["tens"] or "", 0) + _KOREAN_ONES.get(
            native["ones"] or "", 0
        )
        return Fraction(value), text[native.end() :].strip()
    han = _EAST.match(text)
    if not han:
        return None
    digits = re.sub(r"^(?:负|負|マイナス|마이너스)| ", "", han[0])
    if len(digits) == 1 and len(text) > len(han[0]) and "가" <= digits <= "힣":
        return None  # 이것 is "this", not 2
    number = _east_asian(digits)
    if number is None:
        return None
    return Fraction(-number if han[0][0] in _BELOW else number), text[han.end() :].strip()


def _east_asian(digits: str) -> int | None:
    if all(_HAN[sign] < 10 for sign in digits):
        return int("".join(str(_HAN[sign]) for sign in digits))
    total, section, digit = 0, 0, 0
    for sign in digits:
        value = _HAN[sign]
        if value < 10:
            digit = value
        elif value < 10**4:
            section += (digit or 1) * value
            digit = 0
        else:
            total += (section + digit or 1) * value
            section = digit = 0
    return total + section + digit
