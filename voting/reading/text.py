"""A model's reply as people may see it: without thoughts and control tokens; and its JSON.

Replies that answer nothing are recognised in twelve languages: refusals, "I don't know".

Models mark their thoughts in many dialects. One function removes them all; what it leaves is both
what people see and what answers and votes are read from.

What reads answers has two hundred regular expressions, some with hundreds of words. Compiling all of
them takes longer than many a question, and most questions use a few: each is compiled by its first
use.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, cast


def lazy_pattern(pattern: str, flags: int | re.RegexFlag = 0) -> re.Pattern[str]:
    """Like `re.compile`, but what is compiled is compiled by its first use."""
    return cast("re.Pattern[str]", _LazyPattern(pattern, flags))


class _LazyPattern:
    """Stands for a `re.Pattern`, and has its attributes and methods."""

    def __init__(self, pattern: str, flags: int | re.RegexFlag) -> None:
        self.pattern = pattern
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        """Compile the pattern; a second use of the same method does not come here."""
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(re.compile(self.pattern, self._flags), name)
        self.__dict__[name] = method
        return method


_EMPTY = lazy_pattern(
    r"(?:unknown|not known|not available|n/?a|no answer|none of (?:the )?(?:above )?information|idk|abstain|"
    r"pass|null|undefined|nan|no idea|not sure|can(?:no|')t (?:be )?determined?|undetermined|indeterminate|unanswerable|"
    r"(?:insufficient|not enough) (?:information|data|context)|no comment|\(none\)|"
    r"[\[<({]{1,2}(?:insert |your |the |put |final )*answer(?: here)?[\])>}]{1,2}|nicht bestimmbar|indéterminé|indeterminado|"
    r"unbekannt|keine ahnung|keine antwort|weiß nicht|weiß ich nicht|enthaltung|"
    r"inconnu|aucune idée|sans réponse|abstention|desconocido|ni idea|sin respuesta|no sé|no lo sé|abstención|"
    r"desconhecido|não sei|sem resposta|abstenção|sconosciuto|non lo so|non so|nessuna risposta|"
    r"неизвестно|не знаю|нет ответа|воздерживаюсь|未知|不知道|不清楚|无答案|無答案|弃权|无法(?:确定|判断|回答)|無法(?:確定|判斷|回答)|"
    r"不明|わからない|分からない|わかりません|分かりません|棄権|모름|모르겠습니다|모르겠어요|모릅니다|기권|"
    r"अज्ञात|पता नहीं|मुझे नहीं पता|मालूम नहीं|غير معروف|لا أعرف|لا أعلم|لا ادري|لا أدري|[-–—?.\s]*)[.!。]?",
    re.IGNORECASE,
)
_REFUSAL = lazy_pattern(
    r"\b(?:"
    r"i (?:really |honestly |simply |just )?(?:do not|don't|dont) (?:really )?(?:know|"
    r"have (?:an|the|enough|any|sufficient) (?:answer|information|idea|data|context))"
    r"|i (?:can ?not|can't|cant|could not|couldn't|will not|won't|must|am going to) "
    r"(?:help|assist|answer|provide|comply|fulfil|fulfill|do that|do this|discuss|create|generate|"
    r"engage|support|continue|give|offer|decline|refuse|determine|decide|choose|vote|say|tell)"
    r"|(?:i(?:'d| would) (?:rather|prefer) not|it is (?:impossible|not possible) to (?:say|tell|know|answer|determine)"
    r"|that(?:'s| is) not something i can|i do(?: not|n't) have access|i (?:would )?need more (?:information|context|details)"
    r"|insufficient (?:information|data))"
    r"|i(?: am|'m) (?:really |very )?(?:sorry,? but i |afraid i )?(?:not able|unable|not allowed|not permitted|"
    r"not sure|not certain|not comfortable|unsure)"
    r"|i (?:must |have to |would )?(?:decline|refuse|abstain)"
    r"|(?:i have )?no idea"
    r"|sorry,? (?:but )?(?:i )?(?:can't|cannot|won't|don't know)"
    r"|as an ai\b[^.]{0,80}\b(?:cannot|can't|unable|not able|don't)"
    r"|(?:there is |there's )?not enough information"
    r"|(?:the answer |it )?(?:can(?:not|'t) be determined|is (?:unknown|not known))"
    # German
    r"|(?:das )?(?:weiß|weiss) ich (?:leider )?nicht|ich (?:weiß|weiss) (?:es|das)?\s?(?:leider )?nicht"
    r"|ich kann (?:das|dies|diese|ihnen|dir|dabei|leider|darauf|die)[^.]{0,40}\bnicht|ich habe keine ahnung"
    r"|(?:leider |dazu )?kann ich (?:das|dies|darauf|die frage|dazu|nichts)[^.]{0,40}\b(?:nicht|sagen|keine)"
    r"|tut mir leid,? (?:aber )?(?:ich kann|das kann)|ich enthalte mich"
    # French
    r"|je ne connais pas|je ne (?:sais|peux|suis) pas|je ne peux (?:malheureusement )?pas|je n'ai (?:pas|aucune) "
    r"|je suis désolée?,? mais je|je m'abstiens"
    # Spanish
    r"|no (?:lo )?sé|no conozco|no puedo (?:ayudar|responder|proporcionar|contestar|hacer|cumplir|dar)|no tengo "
    r"(?:idea|información|suficiente)|lo siento,? (?:pero )?no|me abstengo"
    # Portuguese
    r"|(?:eu )?não sei|não conheço|não posso (?:ajudar|responder|fornecer|fazer|dar)|não tenho (?:ideia|informaç)"
    r"|desculpe,? (?:mas )?(?:eu )?não|sinto muito,? (?:mas )?não|abstenho-me"
    # Italian
    r"|non (?:lo )?so\b|non conosco|non posso (?:aiutar|risponder|fornir|far|dare)|non ho (?:idea|informazioni)"
    r"|mi dispiace,? (?:ma )?non|mi astengo"
    # Russian
    r"|я не (?:знаю|могу|уверен)|затрудняюсь|не знаю|к сожалению,? (?:я )?не (?:могу|знаю)|извините,? (?:но )?я не|не могу "
    r"(?:ответить|помочь)|воздержусь"
    r")"
    # Scripts without blanks between words
    r"|我不知道|我不(?:能|清楚|确定)|我无法|無法回答|无法回答|抱歉,?我(?:不能|无法)|很抱歉|"
    r"(?:分|わ)かりません|知りません|お答えできません|答えられません|申し訳(?:ありません|ございません)|存じません|"
    r"모르겠|모릅니다|알 수 없|답변(?:할 수|드릴 수) 없|도와드릴 수 없|죄송(?:합니다|하지만)|"
    r"मुझे (?:(?:इसका |इस प्रश्न का )?(?:उत्तर |जवाब )?नहीं पता|नहीं मालूम|पता नहीं|मालूम नहीं)|मैं नहीं जानता|मैं (?:इसका )?(?:उत्तर|जवाब) नहीं दे|"
    r"मैं (?:इसमें |आपकी )?(?:मदद|सहायता) नहीं कर|क्षमा करें|माफ़ कीजिए|"
    r"لا أعرف|لا أعلم|لا أستطيع|لا يمكنني|لا أدري|عذرا|عذراً|آسف",
    re.IGNORECASE,
)
_YET_ANSWERED = lazy_pattern(
    r"\banswer(?: is|:)|\\boxed|\"answer\"|####|<answer>|\bantwort(?: ist|:)|réponse(?: est|:)|respuesta(?: es|:)|"
    r"resposta(?: é|:)|risposta(?: è|:)|ответ\s?:|答案(?:是|:)|答え(?:は|:)|정답[은:]|답[은:]|उत्तर\s?:|الجواب\s?(?:هو|:)|الإجابة\s?(?:هي|:)|"
    r"\b(?:but|however|aber|mais|pero|mas|ma|но)\b[^.]{0,40}\b(?:is|be|say|guess|think|ist|est|es|é|è|это)\b|"
    r"\bmy (?:best )?guess|\bi(?:'d| would) (?:say|guess|go with)",
    re.IGNORECASE,
)


_REFUSING_WORDS = lazy_pattern(
    "know|not|n't|dont|cant|sorry|unable|unsure|idea|abst|decline|refuse|as an ai|"
    "i must|i have to|unknown|weiss|nicht|leid|ahnung|enthalte|je |desol|no |desculp|"
    "sinto|non |dispiace|asteng|i would|no puedo|lo siento|insuffic|impossible|undetermin|indeterm|unansw|"
    "rather|access|need more|no conozco|kann ich|no comment|answer[\\])>}]"
)
"""One of them is in every refusal that is written in plain letters."""


def is_empty(text: str) -> bool:
    """Whether a short text stands for no answer: `null`, `N/A`, `unknown`, `不知道`."""
    if text.strip() in ("''", '""'):
        return False  # an empty text, said on purpose
    return len(text) <= 60 and _EMPTY.fullmatch(text.strip().strip("*_`\"'$").strip()) is not None


def is_refusal(text: str) -> bool:
    """Whether a reply declines to answer, or says that it does not know.

    Only its first two sentences are looked at: a long answer that admits a doubt further down is
    still an answer, and so is "I am not sure, but the answer is 42". An empty text is no refusal.
    """
    return refuses(plain_text(text))


def refuses(plain: str) -> bool:
    """The same of a text that is plain already."""
    if not plain:
        return False
    if is_empty(plain):
        return True
    lowered = plain[:400].lower()
    if lowered.isascii() and not _REFUSING_WORDS.search(lowered):
        return False
    opening = " ".join(re.split(r"(?<=[.!?])\s+|\n+|(?<=。)", plain, maxsplit=2)[:2])[:300]
    refusal = _REFUSAL.search(opening)
    return refusal is not None and not _YET_ANSWERED.search(plain, refusal.end())


_LONGEST = 40_000
"""Characters at the end of a reply that answers and votes are read from."""

# --- thoughts ---------------------------------------------------------------------------------

_WORDS = (
    r"think|thinking|thought|thoughts|reason|reasoning|reflection|scratchpad|"
    r"inner_monologue|internal_monologue|seed:think|mm:think|antthinking"
)
_OPEN = (
    rf"<(?:{_WORDS})(?:\s[^<>\n]{{0,80}})?>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|"
    r"<\|start_thinking\|>|<\|begin_of_thinking\|>|<\|channel>thought|<unused94>thought"
)
_CLOSE = (
    rf"</(?:{_WORDS})\s*>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|end_thinking\|>|"
    r"<\|end_of_thinking\|>|<channel\|>|<unused95>"
)
_MARK = lazy_pattern(rf"(?P<open>{_OPEN})|(?P<close>{_CLOSE})", re.IGNORECASE)
_SPOKEN = lazy_pattern(r"\AThinking\.\.\.\n.*?\n\s*\.\.\.done thinking\.\s*", re.DOTALL)

# --- control tokens ---------------------------------------------------------------------------

_FINAL_CHANNEL = lazy_pattern(r"<\|channel\|>\s*(?:final|response)\b[^<]{0,40}<\|message\|>", re.I)
_OTHER_CHANNEL = lazy_pattern(r"<\|channel\|>\s*(?:analysis|commentary|thought)\b", re.I)
_BARE_CHANNEL = lazy_pattern(r"\A\s*analysis(?=[A-Z]|\s).*?assistant\s?final", re.DOTALL)
_NEXT_TURN = lazy_pattern(
    r"(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|start\|>|<\|start_of_role\|>)\s*user\b"
    r"|<[|｜](?:user|User)[|｜]>",
    re.IGNORECASE,
)
_ROLE = lazy_pattern(
    r"(?:<\|im_start\|>|<start_of_turn>|<\|start\|>|<\|start_header_id\|>|<\|start_of_role\|>)"
    r"\s*(?:assistant|model|system)\b[ \t]*(?:<\|end_header_id\|>|<\|end_of_role\|>)?\s*",
    re.IGNORECASE,
)
_TOKEN = lazy_pattern(
    r"<[|｜][A-Za-z0-9_▁/:-]{1,40}[|｜]>|<\|?/?(?:bos|eos|pad|unk|end_of_turn|start_of_turn|"
    r"end_of_text|endoftext|im_end|im_start|eot_id|eot|sep)(?:_token)?\|?>|\[/?INST\]|<</?SYS>>|"
    r"◁/?(?:answer|response)▷|<unused\d{1,3}>",
    re.IGNORECASE,
)
_ENDS = ("</s>", "<s>")


def visible_text(text: str) -> str:
    """The reply without thoughts and control tokens, stripped: what people see.

    A closing mark alone ends thoughts that began in the prompt. An opening mark alone begins
    thoughts that were cut off, so nothing after it is an answer. A mark in backticks or inside a
    code block is text that the reply talks about, and stays.
    """
    if "<" in text or "[" in text or "◁" in text:
        text = _without_channels(text)
        text = _without_thoughts(text)
        text = _without_tokens(text)
    if text.startswith("Thinking...\n"):
        text = _SPOKEN.sub("", text, count=1)
    if text.lstrip().startswith("analysis") and "assistant" in text:
        text = _BARE_CHANNEL.sub("", text, count=1)
    return text.strip()


def _without_channels(text: str) -> str:
    """Harmony: what the last `final` channel says; nothing where there are thoughts alone."""
    if "channel|>" not in text.lower():
        return text
    finals = list(_FINAL_CHANNEL.finditer(text))
    if finals:
        text = text[finals[-1].end() :]
        return re.split(r"<\|(?:return|end|call)\|>", text, maxsplit=1)[0]
    other = _OTHER_CHANNEL.search(text)
    if other is None:
        return text
    ended = text.rfind("<|end|>")
    after = text[ended:] if ended > other.start() else ""
    return text[: other.start()] + (after if "<|channel|>" not in after else "")


def _without_thoughts(text: str) -> str:
    parts: list[str] = []
    at = opened = 0
    thinking = in_code = False
    fences = [fence.start() for fence in _FENCE.finditer(text)]
    passed = 0
    for mark in _MARK.finditer(text):
        if thinking:
            if mark["close"]:
                thinking = in_code = False
                at = mark.end()
            continue
        while passed < len(fences) and fences[passed] < mark.start():
            in_code = not in_code if fences[passed] >= at else in_code
            passed += 1
        # A mark in backticks or in a block of code is talked about.
        if in_code or _in_backticks(text, mark):
            continue
        if mark["open"]:
            parts.append(text[at : mark.start()])
            thinking = True
            opened = mark.start()
        else:
            parts.clear()
            at = mark.end()
    if thinking:
        return "".join(parts) if _opens_thoughts(text, opened) else "".join([*parts, text[opened:]])
    return "".join([*parts, text[at:]]) if at else text


_FENCE = lazy_pattern("```")


def _in_backticks(text: str, mark: re.Match[str]) -> bool:
    before, after = text[max(0, mark.start() - 3) : mark.start()], text[mark.end() : mark.end() + 3]
    return (before[-1:] == "`" and before != "```") or (after[:1] == "`" and after != "```")


def _opens_thoughts(text: str, at: int) -> bool:
    """Whether an opening mark that nothing closes begins thoughts: it begins the text or a line."""
    before = text[max(0, at - 200) : at].rstrip(" \t")
    return not before or before.endswith(("\n", ">"))


def _without_tokens(text: str) -> str:
    turn = _NEXT_TURN.search(text)
    if turn and text[: turn.start()].strip():
        text = text[: turn.start()]
    text = _ROLE.sub("", text)
    text = _TOKEN.sub(lambda token: "" if token.start() == 0 else " ", text)
    text = text.strip()
    while text[-4:].lower() in _ENDS or text[-3:].lower() in _ENDS:
        text = text[: text.rindex("<")].rstrip()
    return text[3:] if text[:3].lower() == "<s>" and "</s>" not in text else text


# --- plain text -------------------------------------------------------------------------------

_STRAIGHT = str.maketrans({
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "「": '"', "」": '"',
    "『": '"', "』": '"', "\u200b": "", "\ufeff": "", "\u200e": "", "\u200f": "", "\u2060": "",
    "\u00ad": "", "\u202a": "", "\u202c": "", "\u2028": "\n", "\u2029": "\n", "\u0085": "\n",
    "：": ":", "，": ",", "；": ";", "（": "(", "）": ")", "［": "[", "］": "]", "！": "!",
    "？": "?", "％": "%", "＝": "=", "＋": "+", "－": "-", "．": ".", "／": "/", "｛": "{",
    "｝": "}", "＄": "$", "￥": "¥", "∕": "/", "⁄": "/", "٫": ".", "٬": ",", "٪": "%", "،": ",",
    "؛": ";", "؟": "?",
})  # fmt: skip
_WIDE = lazy_pattern(r"[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_DIGIT = lazy_pattern(r"[^\W\x00-\x7f_]")


def plain_text(text: str) -> str:
    """What people see, its last 40,000 characters, with quotes, digits and signs written plainly.

    Only the end of a very long reply is kept, because that is where answers and votes stand.
    """
    if len(text) > 10 * _LONGEST:
        text = text[-10 * _LONGEST :]
    return straight(visible_text(text)[-_LONGEST:]).strip()


def straight(text: str) -> str:
    """Typographic quotes, wide letters, digits of other scripts and odd blanks as plain ones."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text).translate(_STRAIGHT)
    text = _WIDE.sub(lambda sign: chr(ord(sign[0]) - 0xFEE0), text)
    return _DIGIT.sub(_plain_digit, text)


def _plain_digit(sign: re.Match[str]) -> str:
    value = unicodedata.decimal(sign[0], None)
    return sign[0] if value is None else str(value)


# --- JSON -------------------------------------------------------------------------------------

_TRAILING_COMMA = lazy_pattern(r",(\s*[}\]])")
_OPENING = lazy_pattern(r"[{\[]")
_MOST_TRIES = 200


def json_values(text: str) -> list[Any]:
    """Every JSON object or array of a reply, outermost only, in order.

    Fences and prose around them are passed over; a trailing comma is forgiven. What is not JSON
    is left out, never repaired by guessing.
    """
    return [value for value, _, _ in json_spans(text)]


def json_spans(text: str) -> Iterator[tuple[Any, int, int]]:
    """The same, each with the places where it starts and ends."""
    decoder = json.JSONDecoder(strict=False)
    at = 0
    # A bound on the attempts: text full of opening brackets must not cost quadratic time.
    for _ in range(_MOST_TRIES):
        bracket = _OPENING.search(text, at)
        if bracket is None:
            return
        start = bracket.start()
        try:
            value, end = _decode(decoder, text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        yield value, start, end
        at = end


def _decode(decoder: json.JSONDecoder, text: str, start: int) -> tuple[Any, int]:
    try:
        return decoder.raw_decode(text, start)
    except ValueError:
        if not _TRAILING_COMMA.search(text, start):
            raise
        mended = _TRAILING_COMMA.sub(lambda comma: " " + comma[1], text[start:])
        value, end = decoder.raw_decode(mended)
        return value, start + end
