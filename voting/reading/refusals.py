"""Replies that answer nothing: refusals, "I don't know", empty values, in twelve languages."""

from __future__ import annotations

import re

from mom_council.voting.reading.text import plain_text

_EMPTY = re.compile(
    r"(?:unknown|not known|not available|n/?a|no answer|none of (?:the )?(?:above )?information|idk|abstain|"
    r"pass|null|undefined|nan|no idea|not sure|cannot be determined|"
    r"unbekannt|keine ahnung|keine antwort|weiß nicht|weiß ich nicht|enthaltung|"
    r"inconnu|aucune idée|sans réponse|abstention|desconocido|ni idea|sin respuesta|no sé|no lo sé|abstención|"
    r"desconhecido|não sei|sem resposta|abstenção|sconosciuto|non lo so|non so|nessuna risposta|"
    r"неизвестно|не знаю|нет ответа|воздерживаюсь|未知|不知道|不清楚|无答案|無答案|弃权|"
    r"不明|わからない|分からない|わかりません|分かりません|棄権|모름|모르겠습니다|모르겠어요|모릅니다|기권|"
    r"अज्ञात|पता नहीं|मुझे नहीं पता|मालूम नहीं|غير معروف|لا أعرف|لا أعلم|لا ادري|لا أدري|[-–—?.\s]*)[.!。]?",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:"
    r"i (?:really |honestly |simply |just )?(?:do not|don't|dont) (?:really )?(?:know|"
    r"have (?:an|the|enough|any|sufficient) (?:answer|information|idea|data|context))"
    r"|i (?:can ?not|can't|cant|could not|couldn't|will not|won't|must|am going to) "
    r"(?:help|assist|answer|provide|comply|fulfil|fulfill|do that|do this|discuss|create|generate|"
    r"engage|support|continue|give|offer|decline|refuse|determine|decide|choose|vote|say|tell)"
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
    r"|tut mir leid,? (?:aber )?(?:ich kann|das kann)|ich enthalte mich"
    # French
    r"|je ne (?:sais|peux|suis) pas|je ne peux (?:malheureusement )?pas|je n'ai (?:pas|aucune) "
    r"|je suis désolée?,? mais je|je m'abstiens"
    # Spanish
    r"|no (?:lo )?sé|no puedo (?:ayudar|responder|proporcionar|contestar|hacer|cumplir|dar)|no tengo "
    r"(?:idea|información|suficiente)|lo siento,? (?:pero )?no|me abstengo"
    # Portuguese
    r"|(?:eu )?não sei|não posso (?:ajudar|responder|fornecer|fazer|dar)|não tenho (?:ideia|informaç)"
    r"|desculpe,? (?:mas )?(?:eu )?não|sinto muito,? (?:mas )?não|abstenho-me"
    # Italian
    r"|non (?:lo )?so\b|non posso (?:aiutar|risponder|fornir|far|dare)|non ho (?:idea|informazioni)"
    r"|mi dispiace,? (?:ma )?non|mi astengo"
    # Russian
    r"|я не (?:знаю|могу|уверен)|не знаю|к сожалению,? (?:я )?не (?:могу|знаю)|извините,? (?:но )?я не|не могу "
    r"(?:ответить|помочь)|воздержусь"
    r")"
    # Scripts without blanks between words
    r"|我不知道|我不(?:能|清楚|确定)|我无法|無法回答|无法回答|抱歉,?我(?:不能|无法)|很抱歉|"
    r"(?:分|わ)かりません|知りません|お答えできません|答えられません|申し訳(?:ありません|ございません)|存じません|"
    r"모르겠|모릅니다|알 수 없|답변(?:할 수|드릴 수) 없|도와드릴 수 없|죄송(?:합니다|하지만)|"
    r"मुझे (?:नहीं पता|नहीं मालूम|पता नहीं|मालूम नहीं)|मैं नहीं जानता|मैं (?:इसका )?(?:उत्तर|जवाब) नहीं दे|"
    r"मैं (?:इसमें |आपकी )?(?:मदद|सहायता) नहीं कर|क्षमा करें|माफ़ कीजिए|"
    r"لا أعرف|لا أعلم|لا أستطيع|لا يمكنني|لا أدري|عذرا|عذراً|آسف",
    re.IGNORECASE,
)
_YET_ANSWERED = re.compile(
    r"\banswer(?: is|:)|\\boxed|\"answer\"|####|<answer>|\bantwort(?: ist|:)|réponse(?: est|:)|respuesta(?: es|:)|"
    r"resposta(?: é|:)|risposta(?: è|:)|ответ\s?:|答案(?:是|:)|答え(?:は|:)|정답[은:]|답[은:]|उत्तर\s?:|الجواب\s?(?:هو|:)|الإجابة\s?(?:هي|:)|"
    r"\b(?:but|however|aber|mais|pero|mas|ma|но)\b[^.]{0,40}\b(?:is|be|say|guess|think|ist|est|es|é|è|это)\b|"
    r"\bmy (?:best )?guess|\bi(?:'d| would) (?:say|guess|go with)",
    re.IGNORECASE,
)


_REFUSING_WORDS = (
    "know", "not", "n't", "dont", "cant", "sorry", "unable", "unsure", "idea", "abst", "decline", "refuse", "as an ai",
    "i must", "i have to", "unknown", "weiss", "nicht", "leid", "ahnung", "enthalte", "je ", "desol", "no ", "desculp", "sinto", "non ", "dispiace",
    "asteng", "i would", "no puedo", "lo siento",
)  # fmt: skip
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
    if lowered.isascii() and not any(word in lowered for word in _REFUSING_WORDS):
        return False
    opening = " ".join(re.split(r"(?<=[.!?])\s+|\n+|(?<=。)", plain, maxsplit=2)[:2])[:300]
    refusal = _REFUSAL.search(opening)
    return refusal is not None and not _YET_ANSWERED.search(plain, refusal.end())
