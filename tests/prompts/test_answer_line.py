"""The line of a final answer is asked for in the question's language, which the reader knows."""

# ruff: noqa: E501 - one line holds one language

from __future__ import annotations

import pytest

from mom_council import read_answer
from mom_council.prompts.answer_line import answer_line, language_of
from mom_council.tests.graph.desk import ask, desk, said, seat
from mom_council.tests.stage import Stage

QUESTIONS = {
    "en": ("What is 17 + 25?", "How many legs do three spiders have?", "Which city is the capital of Italy?"),
    "de": ("Wie viele Beine haben drei Spinnen?", "Was ist die Hauptstadt von Frankreich?", "Ein Zug fährt um 8 Uhr ab und ist 3 Stunden unterwegs. Wann kommt er an?"),
    "fr": ("Combien de pattes ont trois araignées ?", "Quelle est la capitale de l'Italie ?", "Un train part à 8 heures et roule 3 heures. À quelle heure arrive-t-il, si tout va bien dans la gare ?"),
    "es": ("¿Cuántas patas tienen tres arañas en total, si hay una más?", "¿Cuál es la capital de Francia?", "Si un tren sale a las 8, ¿a qué hora llega?"),
    "pt": ("Quantas pernas têm três aranhas, se uma não tem?", "Qual é a capital da França?", "Quem escreveu o livro e como se chama?"),
    "it": ("Quante zampe hanno tre ragni e una mosca?", "Qual è la capitale della Francia?", "Chi ha scritto il libro e come si chiama?"),
    "ru": ("Сколько будет 17 + 25?", "Какая столица у Франции?"),
    "zh": ("17 加 25 等于多少？", "法国的首都是哪里？"),
    "ja": ("17たす25はいくつですか。", "フランスの首都はどこですか？"),
    "ko": ("17 더하기 25는 얼마입니까?", "프랑스의 수도는 어디인가요?"),
    "hi": ("17 और 25 का योग क्या है?", "फ्रांस की राजधानी क्या है?"),
    "ar": ("ما هو مجموع 17 و 25؟", "ما هي عاصمة فرنسا؟"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "question"), [(k, q) for k, qs in QUESTIONS.items() for q in qs]
)
def test_the_language_of_a_question_is_known(language: str, question: str) -> None:
    assert language_of(question) == language


@pytest.mark.parametrize(
    "question",
    ["", "42?", "2 + 2", "Скільки буде дві з її рук?", "\\int x dx", "def f(x): return x", "Rome?"],
)
def test_in_doubt_it_is_english(question: str) -> None:
    assert answer_line(question) == "Answer: ..."


@pytest.mark.parametrize("language", QUESTIONS)
@pytest.mark.parametrize("said", ["42", "7:15 PM", "C", "x = 5"])
def test_the_line_is_read_as_it_is_asked_for(language: str, said: str) -> None:
    line = answer_line(QUESTIONS[language][0]).replace("...", said)
    assert read_answer(f"Hm.\n\n{line}").key == read_answer(f"Answer: {said}").key


async def test_every_character_is_asked_for_it_in_the_questions_language(stage: Stage) -> None:
    seat(stage, {"Ada": "Antwort: 24", "Boris": "Antwort: 24", "Clara": "Antwort: 18"})
    stage.model("pen", reply="Antwort: 24")
    status = (await ask(desk(stage), QUESTIONS["de"][0]))["status"]
    for name in ("ada", "boris", "clara"):
        assert '"Antwort: ...".' in said(stage.calls_to(name)[0].body)
    assert status.verdict.options[0].members == ("Ada", "Boris")
