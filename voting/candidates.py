"""Who can be voted for, and every way in which a reply may name one of them.

A ballot's text is brought into one plain form, with the words of twelve languages:

English, German, French, Spanish, Portuguese, Italian, Russian, Chinese, Japanese, Korean, Hindi and
Arabic: how people there say that they vote, deny, abstain, rank and score.

A candidate is named by its label (`B`, `(b)`, `Candidate B`), by its character or by what it
answered. The article in "A better answer" and the pronoun in "I think" are no names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from mom_council.voting.reading import are_same, read_answer
from mom_council.voting.reading.text import lazy_pattern

# ruff: noqa: E501, ISC004 - one line holds one meaning in several scripts


VOTE = lazy_pattern(
    r"\b(?:votes?|voted|voting|ballot|choose|chose|choice|pick|picked|select|selected|prefer|"
    r"(?:meine\s+)?stimme|stimme\s+für|votiere|wähle|wahl|entscheide|bevorzuge|"
    r"voix|choisis|choix|préfère|opte|"
    r"voto|elijo|elección|escojo|prefiero|me\s+quedo|"
    r"escolho|escolha|prefiro|fico|"
    r"scelgo|scelta|preferisco|"
    r"голосую|голос|выбираю|выбор|предпочитаю)\b"
    r"|我投|投给|投給|投票|我选|我選|选择|選擇|我的票|一票|選び|選択|選ぶ|에\s*투표|투표|선택|고르|"
    r"वोट|मतदान|चुनता|चुनती|चुनाव|पसंद|أصوت|صوتي|أختار|اختياري|أفضّل|أفضل",
    re.IGNORECASE,
)
"""Words that say that a clause is about the voter's own vote."""

BEST = lazy_pattern(
    r"\b(?:best|strongest|winner|beste[rsn]?|stärkste[rn]?|sieger|meilleure?s?|gagnante?|mejor|"
    r"ganadora?|melhor|vencedora?|migliore?|vincitrice|vincitore|лучш\w+|победител\w+)\b"
    r"|最好|最佳|最優|最优|最良|一番|ベスト|최고|최선|가장\s*좋|सबसे\s+अच्छ\w*|सर्वश्रेष्ठ|الأفضل|أفضل",
    re.IGNORECASE,
)
"""Words that say which is the best."""

NOT = lazy_pattern(
    r"\b(?:not|never|no|nor|neither|cannot|can't|won't|don't|didn't|doesn't|isn't|wouldn't|without|"
    r"instead\s+of|rather\s+than|if|whether|unless|against|"
    r"nicht|nie|niemals|kein\w*|weder|wenn|falls|ob|gegen|statt|ohne|"
    r"ne|n'\w+|pas|jamais|aucune?|ni|si|contre|sauf|sans|"
    r"nunca|jamás|ningun[oa]?|ningún|tampoco|contra|sin|"
    r"não|nem|nenhum\w*|jamais|se|sem|"
    r"non|mai|nessun\w*|né|contro|senza|"
    r"не|нет|ни|никогда|если|против|без)\b"
    r"|不|没|沒|非|如果|假如|ない|ません|なし|もし|않|아니|못|없|만약|नहीं|नही|\bना\b|अगर|यदि|لا|لن|ليس|لم|إذا|لو|ضد",
    re.IGNORECASE,
)
"""Words that deny a clause, or only suppose it."""

ABSTAIN = lazy_pattern(
    r"\b(?:abstain\w*|abstention|no\s+vote|enthalt\w*|enthaltung|abstiens|abstention|abstengo|"
    r"abstención|abstenho|abstenção|astengo|astensione|воздерж\w+)"
    r"|弃权|棄権|棄權|기권|मतदान\s+नहीं|अनुपस्थित|तटस्थ|أمتنع|امتنع|ممتنع|الامتناع",
    re.IGNORECASE,
)
"""Words that say that somebody does not vote."""

_ORDINALS = (
    r"first|1st|erste[rsn]?|erstens|premier|première|premièrement|1ère?|1er|primer[oa]?|primeir[oa]|prim[oa]|"
    r"перв\w+|во-первых|第一|पहला|पहले|पहली|प्रथम|첫\s*번째|첫째|الأولى?|أولا|أولاً",
    r"second|2nd|zweite[rsn]?|zweitens|deuxième|deuxièmement|seconde?|2e|2ème|segund[oa]|second[oa]|"
    r"втор\w+|во-вторых|第二|दूसरा|दूसरे|दूसरी|द्वितीय|두\s*번째|둘째|الثانية?|ثانيا|ثانياً",
    r"third|3rd|dritte[rsn]?|drittens|troisième|troisièmement|3e|3ème|tercer[oa]?|terceir[oa]|terz[oa]|"
    r"трет\w+|в-третьих|第三|तीसरा|तीसरे|तीसरी|तृतीय|세\s*번째|셋째|الثالثة?|ثالثا|ثالثاً",
    r"fourth|4th|vierte[rsn]?|viertens|quatrième|4e|4ème|cuart[oa]|quart[oa]|четв[её]рт\w+|第四|"
    r"चौथा|चौथे|चौथी|चतुर्थ|네\s*번째|넷째|الرابعة?|رابعا|رابعاً",
    r"fifth|5th|fünfte[rsn]?|fünftens|cinquième|5e|5ème|quint[oa]|пят\w+|第五|पाँचवा|पांचवां|पंचम|"
    r"다섯\s*번째|다섯째|الخامسة?|خامسا|خامساً",
    r"sixth|6th|sechste[rsn]?|sechstens|sixième|6e|6ème|sext[oa]|sest[oa]|шест\w+|第六|छठा|छठे|छठी|"
    r"여섯\s*번째|여섯째|السادسة?|سادسا|سادساً",
)
_ORDINAL = tuple(lazy_pattern(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) for words in _ORDINALS)
ORDINAL = "(?i:" + "|".join(_ORDINALS) + r"|\d{1,2}(?:st|nd|rd|th|ère|er|e|ème|º|ª|-?й|-?я)(?!\w))"
"""A place in words: `second`, `zweitens`, `2º`."""

RANK_WORD = (
    r"(?i:ranks?|ranked|ranking|place|position|platz|rang|rango|posto|puesto|posición|posição|lugar|"
    r"classement|место|место:|名次|排名|順位|순위|स्थान|क्रम|المرتبة|المركز)"
)
SCORE_WORD = (
    r"(?i:overall\s+score|final\s+score|score|rating|grade|points?|mark|punkte?|note|bewertung|wertung|"
    r"puntuación|puntaje|puntos?|nota|pontos?|pontuação|punteggio|punti|voto|оценка|баллы?|балл|"
    r"评分|評分|分数|得分|スコア|点数|評価|점수|평점|अंक|स्कोर|الدرجة|النقاط|التقييم)"
)
OUT_OF = r"(?i:/|out\s+of|von|sur|de|em|su|sobre|из)"
UNIT = r"(?i:points?|pts?\.?|punkte?n?|puntos?|pontos?|punti|балл\w*|分|点|점|अंक|نقاط|نقطة|درجات)"
YES = r"(?i:yes|approved?|accept(?:ed|able)?|true|ja|oui|sí|sim|sì|да|是|はい|예|네|हाँ|हां|نعم)|✓|✔|✅|☑"
NO = r"(?i:no|reject(?:ed)?|disapproved?|false|nein|non|não|нет|否|不|いいえ|아니오|아니요|नहीं|لا)|✗|✘|❌|☒|☐"

_TAGS = {
    "vote": "Vote", "ballot": "Vote", "choice": "Vote", "pick": "Vote", "winner": "Vote",
    "decision": "Vote", "answer": "Answer", "ranking": "Ranking", "rank": "Ranking",
    "order": "Ranking", "approved": "Approved", "approvals": "Approved", "scores": "",
}  # fmt: skip
_TAG = lazy_pattern(
    rf"<\s*(/?)\s*({'|'.join(_TAGS)})\s*>|\[(/?)({'|'.join(_TAGS)})\]", re.IGNORECASE
)
_ARROW = lazy_pattern(r"[➜➔➙➛➝➞➟➠➡⟶⟹⇒⇨⮕]\ufe0f?|(?<![<=-])(?:=+|-{2,})>")
_POINTER = lazy_pattern(r"[👉☞👈🗳🏆⭐🌟🎯🔹🔸▶►➤]\ufe0f?")
_MEDALS = str.maketrans({"🥇": "\n1. ", "🥈": "\n2. ", "🥉": "\n3. "})
_KEYCAP = lazy_pattern(r"(\d)\ufe0f?\u20e3")
_OF_TEN = lazy_pattern(
    r"10\s*(?:点|점|分)\s*(?:満点)?\s*(?:中|만점에|満分|满分)\s*(\d+(?:\.\d+)?)\s*(?:点|점|分)?"
)


def normalise(text: str) -> str:
    """A reply with full-width and other digits as ASCII, one arrow, tags and medals as words."""
    text = _KEYCAP.sub(r"\1. ", text).translate(_MEDALS)
    text = "".join(_plain_character(one) for one in text)
    text = _ARROW.sub("→", _POINTER.sub(" ", text))
    text = _OF_TEN.sub(r"\1/10", text)
    return _TAG.sub(_as_words, text)


def place_of(word: str) -> int | None:
    """The place that an ordinal names: 2 for `second`, `zweitens`, `2.`, `2º`."""
    digits = re.search(r"\d{1,2}", word)
    if digits:
        return int(digits[0])
    return next((at for at, one in enumerate(_ORDINAL, 1) if one.fullmatch(word.strip())), None)


def clauses(text: str) -> list[str]:
    """The sentences and lines of a text; a dot inside a number or an abbreviation ends none."""
    return [part for part in re.split(r"[.!?](?=\s|$|[*_`])|[。！？؟।;\n]", text) if part.strip()]


def _plain_character(one: str) -> str:
    if one.isascii():
        return one
    digit = unicodedata.decimal(one, None)
    if digit is not None:
        return str(digit)
    return unicodedata.normalize("NFKC", one) if 0xFF00 <= ord(one) <= 0xFFEF else one


def _as_words(tag: re.Match[str]) -> str:
    closing, name = (tag[1], tag[2]) if tag[2] else (tag[3], tag[4])
    word = _TAGS[name.lower()]
    return "\n" if closing or not word else f"\n{word}: "


NOUN = (
    r"(?i:candidate|option|answer|proposal|response|choice|letter|reply|entry|statement|solution|"
    r"kandidat(?:in)?|antwort|vorschlag|candidat|réponse|proposition|candidato|respuesta|propuesta|"
    r"opción|resposta|opção|proposta|risposta|opzione|кандидат|ответ|вариант|候选人|候选|答案|回答|选项|"
    r"候補者|候補|選択肢|후보자|후보|답변|선택지|उम्मीदवार|उत्तर|विकल्प|المرشح|الإجابة|الخيار)"
)
# Bounded, here and below: replies of nothing but brackets must not cost quadratic time.
_WRAP = r"[*_`\"'(\[]{0,5}"
_UNWRAP = r"[*_`\"')\]]{0,5}"
# Chinese and Japanese write no blanks, so only letters of alphabets that do end a label.
_LETTER = r"0-9A-Za-z_\u00c0-\u024f\u0370-\u05ff\u0900-\u097f"
_ALONE = rf"(?![{_LETTER}+#]|'\w|-\w)"
# "A good answer" and "I think" are prose; "A because ..." and "I is right" name a candidate.
GOES_ON = (
    r"(?:because|since|as|is|was|has|for|over|with|due|and|or|but|by|scores?|gets?|then|gives|out|"
    r"ist|weil|und|est|car|et|es|y|é|porque|perché|è|comes|ranks?|ranked|takes|first|second|third)"
)
_PROSE = rf"(?!\s+(?!{GOES_ON}\b)[a-z])"
_SMALL_END = r"(?=\s*(?:[.,;:!?)\]*_`\">=]|'(?!\w)|$)|\s+(?:because|since|over|or|and)\b)"
_JOIN = (
    r"(?:[ \t]*(?:,|、|/|&|\+|\b(?:or|oder|ou|o|или|and|und|et|y|e|и)\b|和|與|と|와|과|और|vs\.?)"
    r"[ \t]*+(?:(?:and|or|und|oder|et|ou)\b[ \t]*+)?|[ \t]++)"
)
_NOT_SUBJECT = r"(?!\s+(?:is|was|has|gets|fails|lacks|makes|gives|does|seems|scores)\b)"


class Candidate(NamedTuple):
    """A proposal as a voter was shown it.

    Attributes:
        label: what the prompt called it: `A`, `B`, ...
        character: whose it is; this is what a ballot records.
        text: what it says.
    """

    label: str
    character: str
    text: str


class CandidateMatcher:
    """The candidates of one ballot, and how to find them in a reply."""

    def __init__(
        self, candidates: Sequence[Candidate], options: Sequence[str] | Mapping[str, str] = ()
    ) -> None:
        self.candidates = tuple(candidates)
        self._options = options
        self._names = {
            each.character.casefold(): each.character for each in reversed(self.candidates)
        }
        self._names |= {each.label.casefold(): each.character for each in reversed(self.candidates)}
        self._texts = {_normalise(each.text): each.character for each in reversed(self.candidates)}
        # The first shown of equal answers stands for them: they are counted as one anyway.
        self._answers = [
            (answer, each.character)
            for each in self.candidates
            if (answer := read_answer(each.text, kind="closed", options=options))
        ]

    # Compiling takes 10 ms and more, and a ballot in JSON needs neither.
    @cached_property
    def name(self) -> re.Pattern[str]:
        """One reference to a candidate."""
        return re.compile(self._reference())

    @cached_property
    def names(self) -> re.Pattern[str]:
        """References to candidates in a row."""
        name = self._reference()
        return re.compile(rf"{name}(?:{_JOIN}{name}{_NOT_SUBJECT}){{0,31}}")

    @property
    def characters(self) -> tuple[str, ...]:
        """All candidates, in the order they were shown."""
        return tuple(each.character for each in self.candidates)

    def who(self, token: str) -> str | None:
        """The character that a bare reference names: `B`, `(b)`, `**Candidate B**`, `Skeptic`."""
        token = re.sub(rf"^[<*_`\"'(\[]{{0,5}}(?:{NOUN}\s*:?\s*)?{_WRAP}", "", token.strip())
        token = token.rstrip(" \t\n.,:;!?*_`\"')]>")
        return self._names.get(token.casefold())

    def all_in(self, text: str) -> list[str]:
        """The characters that a text refers to, each once, in order."""
        return list(dict.fromkeys(self.each_in(text)))

    def each_in(self, text: str) -> list[str]:
        """The characters that a text refers to, as often as it does, in order."""
        named = (self.who(each[0]) for each in self.name.finditer(text))
        return [name for name in named if name]

    def by_answer(self, text: str) -> str | None:
        """The first shown of the candidates that answer what this short text says."""
        text = text.strip()
        for reading in (text, f"The answer is {text}"):
            answer = read_answer(reading, options=self._options)
            for other, character in self._answers:
                if are_same(answer, other):
                    return character
        return self._texts.get(_normalise(text)) if _normalise(text) else None

    def resolve(self, value: str) -> str | None:
        """The one candidate that a value such as `B`, `B: Paris` or `42` stands for, else None."""
        named = self.who(value)
        if named:
            return named
        head = self.names.match(value.strip())
        if head and re.match(r"\s*(?:[:.)–—-]|because\b|since\b|$)", value.strip()[head.end() :]):
            members = self.all_in(head[0])
            return members[0] if len(members) == 1 else None
        return None if head and len(self.all_in(head[0])) > 1 else self.by_answer(value)

    def _reference(self) -> str:
        labels = sorted({each.label for each in self.candidates}, key=len, reverse=True)
        big, small = [], []
        for label in labels:
            prose = _PROSE if label in {"A", "I", "E", "O", "Y"} else ""
            big.append(re.escape(label) + prose)
            if label.lower() != label:
                small.append(re.escape(label.lower()))
        names = sorted((each.character for each in self.candidates), key=len, reverse=True)
        spelled = "|".join(re.escape(name) for name in names if len(name) > 1)
        forms = [rf"{NOUN}\s*:?\s*{_WRAP}(?i:{'|'.join(map(re.escape, labels))}){_ALONE}{_PROSE}"]
        forms.append(rf"(?:{'|'.join(big)}){_ALONE}")
        if small:
            forms.append(rf"(?:{'|'.join(small)}){_ALONE}{_SMALL_END}")
        if spelled:
            forms.append(rf"(?i:{spelled})(?!\w)")
        named = f"(?:{'|'.join(forms)})"
        return rf"(?<![{_LETTER}'-])(?:<{named}>|{_WRAP}{named}{_UNWRAP})"


def _normalise(text: str) -> str:
    return " ".join(re.sub(r"[*_`\"'.]", " ", text).split()).casefold()
