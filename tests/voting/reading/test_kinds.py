"""Kinds of answers, each with generated siblings: never less than was said, in doubt different."""

from __future__ import annotations

import itertools
import json

import pytest

from mom_council.voting.reading import are_same, is_refusal, read_answer, same_answer

WRAPPERS = [
    "Answer: {}",
    "**Answer:** {}",
    "Ans: {}",
    "The answer is {}.",
    "So the final answer is **{}**.",
    "Let us see.\n\n#### {}",
    "We add them up. #### {} ",
    "Thus \\boxed{{{}}}.",
    "<answer>{}</answer>",
    "<answer>\n{}\n</answer>",
    "[RESULT] {}",
    "Antwort: {}",
    "Die Antwort ist {}.",
    "Réponse : {}",
    "La réponse est {}.",
    "Respuesta: {}",
    "La respuesta es {}.",
    "Resposta: {}",
    "A resposta é {}.",
    "Risposta: {}",
    "La risposta è {}.",
    "Ответ: {}",
    "Ответ — {}.",
    "答案：{}",
    "答案是{}。",
    "答え：{}",
    "答えは{}です。",
    "정답: {}",
    "정답은 {}입니다.",
    "उत्तर: {}",
    "उत्तर {} है।",
    "الجواب: {}",
    "الإجابة هي {}.",
]


@pytest.mark.parametrize("said", ["57", "C", "3.75", "-12", "7/9"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_every_statement_of_an_answer_is_the_same_statement(wrapper: str, said: str) -> None:
    reply = wrapper.format(said)
    assert same_answer(reply, said), read_answer(reply)
    assert are_same(read_answer(reply), read_answer(said))


@pytest.mark.parametrize("said", ["57", "C", "3.75", "-12", "7/9", "2:45 PM", "5, -3", "x = 4"])
@pytest.mark.parametrize("key", ["answer", "final_answer", "Answer", "respuesta", "答案"])
def test_json_states_an_answer(key: str, said: str) -> None:
    assert same_answer(json.dumps({"reasoning": "Say 11.", key: said}), f"Answer: {said}")


UNALIKE = {
    "times": ["2:30 PM", "2:45 PM", "2:30 AM", "2", "30", "14", "2 PM"],
    "eras": ["44 BC", "44", "44 AD", "45 BC"],
    "lengths": ["5 m", "5 cm", "5 km", "5 ft", "50"],
    "masses": ["5 kg", "5 g", "5 lb"],
    "money": ["$5", "€5", "£5", "5%", "₹5"],
    "scales": ["5 bn", "5 million", "5", "5 lakh", "5 crore", "5 thousand", "5 dozen"],
    "cards": ["4 of hearts", "4 of spades", "4"],
    "coordinates": ["10° S", "10° N", "10° E"],
    "ratios": ["3:2", "3:4", "3", "2"],
    "ranges": ["7 - 9", "7 - 8", "7", "9", "6 to 9"],
    "fractions": ["3/7", "3", "7", "7/3", "-3/7"],
    "factorials": ["5!", "5", "6!"],
    "lists": ["6, -2", "6", "-2", "6, 2", "6, -2, 1"],
    "choices": ["A and C", "A", "C", "A, B and C", "B and C"],
    "initials": [
        "J. K. Rowling",
        "J. R. R. Tolkien",
        "J",
        "J. K. Simmons",
        "J. Austen",
        "J. Conrad",
    ],
    "names with an initial": [
        "G. Orwell",
        "G",
        "G. Eliot",
        "I. Newton",
        "I",
        "F. Kafka",
        "H. Ibsen",
    ],
    "species": ["E. coli", "E. faecalis", "E", "C. elegans", "C"],
    "two parts": ["5 ft 3 in", "5", "5 ft 4 in", "two hours and thirty minutes", "two"],
    "counted things": ["four hundred apples", "four apples", "Four Hundred Pears", "Seven Samurai"],
    "abbreviations": [
        "St. Louis",
        "St. Paul",
        "St",
        "Dr. No",
        "Dr. Zhivago",
        "No. 5",
        "No. 7",
        "no",
    ],
    "planes": ["x + y + z = 0", "x - y + z = 0", "2x + y = 0", "0", "x + y + z = 1"],
    "polynomials": ["x^4 - 3x + 1", "x^4 + 3x + 1", "1", "x^4"],
    "unknowns": ["x = 2 or x = 3", "x = 3", "x = 2"],
    "roots": ["2\\sqrt{3}", "2", "3", "3\\sqrt{2}", "\\sqrt{3}"],
    "complex": ["3 + 4i", "3 - 4i", "3", "4i"],
    "intervals": ["(2, 5)", "[2, 5]", "(2, 5]", "2", "5"],
    "sets": ["{1, 2}", "{1, 2, 3}", "{2, 3}"],
    "matrices": [
        "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}",
        "\\begin{pmatrix} 1 & 2 \\\\ 3 & 5 \\end{pmatrix}",
        "4",
    ],
    "bases": ["1011_2", "1011_3"],
    "dates": ["5 January", "6 January", "5 February", "5", "5 January 1999"],
    "powers": ["2^{10}", "2", "10", "2^{11}"],
    "decimals": ["0.333", "1/3", "0.33"],
    "names": ["Paris", "London", "New York", "York"],
    "nouns": ["5 apples", "5 oranges", "6 apples"],
}


@pytest.mark.parametrize("wrapper", ["Answer: {}", "The answer is {}.", "\\boxed{{{}}}", "#### {}"])
@pytest.mark.parametrize("kind", UNALIKE)
def test_what_differs_is_different(kind: str, wrapper: str) -> None:
    for one, other in itertools.combinations(UNALIKE[kind], 2):
        first, second = (read_answer(wrapper.format(said), kind="closed") for said in (one, other))
        assert first, (wrapper, one)
        assert not are_same(first, second), (one, other, first, second)


ALIKE = {
    "numbers": ["1234.5", "1,234.5", "1.234,5", "1 234,5", "1\u202f234,5", "1'234.5"],
    "indian": ["1234567", "12,34,567", "₹12,34,567", "1,234,567", "12.34567 lakh"],
    "arabic digits": ["42", "٤٢", "४२", "４２"],
    "scales": ["2500000", "2.5 million", "$2.5M", "2.5 Mio.", "2,5 millones", "25 lakh", "250万"],
    "thousands of millions": ["3000000000", "3 billion", "3 bn", "3 Milliarden", "30亿"],
    "words": [
        "92", "ninety-two", "zweiundneunzig", "quatre-vingt-douze", "noventa y dos",
        "noventa e dois", "novantadue", "девяносто два", "九十二", "구십이", "बानवे", "اثنان وتسعون",
    ],
    "lengths": ["5 km", "5000 m", "5 kilometers", "500,000 cm", "5 Kilometer"],
    "durations": ["150 minutes", "2.5 hours", "2 hours 30 minutes", "2 h 30 min", "9000 s"],
    "times": ["2:30 PM", "14:30", "2.30 pm", "2:30 p.m.", "14:30 Uhr"],
    "dates": ["5 March 2020", "March 5, 2020", "2020-03-05", "5. März 2020", "5 de marzo de 2020",
              "2020年3月5日", "5 марта 2020", "5 mars 2020", "5 marzo 2020"],
    "percent": ["75%", "75 %", "75 percent", "75\\%"],
    "yes": ["yes", "Yes.", "ja", "oui", "sí", "sim", "да", "是", "はい", "네", "हाँ", "نعم"],
    "no": ["no", "No.", "nein", "não", "нет", "いいえ", "아니요", "नहीं", "لا"],
    "choice": ["B", "(B)", "b)", "Option B", "**B**", "B.", "\\text{(B)}"],
    "several": ["A and C", "C and A", "A, C", "(A) and (C)", "A & C"],
    "fractions": ["0.75", "3/4", "\\frac{3}{4}", "¾", "\\dfrac34", "three quarters", "6/8"],
    "unknown": ["7", "x = 7", "x=7", "\\(x = 7\\)", "3 + 4 = 7"],
    "solutions": ["x = 2 or x = 3", "x = 3 or x = 2", "x=2, x=3", "x = 2 and x = 3"],
    "roots": ["2\\sqrt{2}", "\\sqrt{8}", "sqrt(8)", "2√2", "\\frac{4}{\\sqrt{2}}"],
    "products": ["x^2 - 9", "(x - 3)(x + 3)", "(x+3)(x-3)", "x^{2}-9"],
    "complex": ["3 + 4i", "4i + 3", "3+4i"],
    "planes": ["x + 2y = 3", "2x + 4y = 6", "x + 2y - 3 = 0"],
    "above": ["x > 2", "2 < x", "(2, \\infty)"],
    "between": ["2 < x \\le 5", "(2, 5]"],
    "names": ["J. K. Rowling", "J.K. Rowling", "**J. K. Rowling**", '"J. K. Rowling"'],
    "articles": ["Netherlands", "the Netherlands", "The Netherlands."],
    "money": ["$1,500", "1500", "$1500.00", "1,500 dollars", "US$1,500"],
}  # fmt: skip


@pytest.mark.parametrize("kind", ALIKE)
def test_what_is_written_otherwise_is_the_same(kind: str) -> None:
    first, *others = ALIKE[kind]
    for other in others:
        assert same_answer(f"Answer: {first}", f"Answer: {other}"), (
            read_answer(f"Answer: {first}"),
            read_answer(f"Answer: {other}"),
        )


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("She had 3 and got 4.\nSo the total is 7 apples.", "7"),
        ("#### 41\n\nWait, I made a mistake.\n\n#### 42", "42"),
        ('{"answer": "41"}\nCorrection: the correct answer is 42.', "42"),
        ('{"answer": "He paid 45 dollars."}', "45"),
        ('{"answer": "The train leaves at 5 pm."}', "5 pm"),
        ('{"answer": 17.0}', "17"),
        ('{"answer": [1, 2]}', "[1, 2]"),
        ('{"response": {"answer": "12"}}', "12"),
        ("#### 96\n\nProblem 2: A man has 5 hens. How many legs?\nAnswer: 10", "96"),
        ("Answer: 31\n\nQuestion: What is 1 + 1?\nAnswer: 2", "31"),
        ("Dr. Strange meets Mr. Fantastic.\nAnswer: Dr. Strange", "Dr. Strange"),
        ("The answer is 9 p.m. on Friday", "9 p.m. on Friday"),
        ("Answer: 12 eggs in the big basket by the door", "12"),
        ("I would pick (E).", "E"),
        ("Option A is wrong, so B is correct.", "B"),
        ("The correct choice is therefore D because A is too small.", "D"),
        ("A: 314", "314"),
        ("The answer is the list `[4, 5]`, which is sorted.", "[4, 5]"),
        ("The answer is the literal string 'zap'.", "zap"),
        ("Therefore, C.", "C"),
        ("=> 12", "12"),
        ("La respuesta correcta es la C.", "C"),
        ("A resposta correta é a letra C.", "C"),
        ("La risposta corretta è la B.", "B"),
    ],
)  # fmt: skip
def test_the_last_statement_is_read(reply: str, said: str) -> None:
    assert same_answer(reply, said), read_answer(reply, kind="closed")


OPTIONS = ("a cat", "a dog", "62", "none of these")


@pytest.mark.parametrize(
    ("reply", "letters"),
    [
        ("Answer: B", ("B",)),
        ("The answer is a dog.", ("B",)),
        ("Answer: 62", ("C",)),
        ("I think it barks.\nB) a dog", ("B",)),
        ("(D)", ("D",)),
        ("A and B", ("A", "B")),
        ("Answer: A: a cat", ("A",)),
    ],
)
def test_only_the_options_are_answers_where_there_are_options(
    reply: str, letters: tuple[str, ...]
) -> None:
    assert read_answer(reply, kind="closed", options=OPTIONS).letters == letters


@pytest.mark.parametrize("reply", ["Answer: 61", "So 4 * 15 = 60 and then", "Answer: G", "It is 7"])
def test_what_is_no_option_is_no_answer(reply: str) -> None:
    assert not read_answer(reply, kind="closed", options=OPTIONS)


@pytest.mark.parametrize("reply", ["so 12 * 104 = 12", "The total is 12", "Answer"])
def test_the_last_token_of_a_broken_reply_is_no_answer(reply: str) -> None:
    assert not read_answer(reply, kind="closed", complete=False)


REFUSALS = [
    "I don't know.", "I cannot help with that.", "I'm sorry, but I can't answer this question.",
    "There is not enough information.", "It cannot be determined.",
    "Das weiß ich nicht.", "Ich kann das leider nicht beantworten.",
    "Je ne sais pas.", "Je ne peux pas répondre à cette question.",
    "No lo sé.", "Lo siento, no puedo ayudar con eso.",
    "Não sei.", "Desculpe, não posso responder.",
    "Non lo so.", "Mi dispiace, non posso rispondere.",
    "Я не знаю.", "К сожалению, не могу ответить.",
    "我不知道。", "抱歉，我无法回答这个问题。",
    "わかりません。", "申し訳ありませんが、お答えできません。",
    "모르겠습니다.", "죄송하지만 답변할 수 없습니다.",
    "मुझे नहीं पता।", "क्षमा करें, मैं इसका उत्तर नहीं दे सकता।",
    "لا أعرف.", "عذراً، لا يمكنني الإجابة.",
]  # fmt: skip


@pytest.mark.parametrize("reply", REFUSALS)
def test_refusals_are_no_answer_in_every_language(reply: str) -> None:
    assert is_refusal(reply)
    assert read_answer(reply, kind="closed").type == "no answer"


@pytest.mark.parametrize(
    "reply",
    ["", "  ", '{"answer": null}', '{"answer": ""}', "null", "N/A", "unknown",
     "Answer: I don't know", '{"answer": "I don\'t know"}', "Answer: unknown",
     "<think>It is 4.</think>"],
)  # fmt: skip
def test_an_empty_answer_is_no_answer(reply: str) -> None:
    assert read_answer(reply, kind="closed").type == "no answer"


def test_two_replies_without_an_answer_are_not_the_same_answer() -> None:
    assert not same_answer("I don't know.", "I don't know.")


def test_exact_text_keeps_capitals_where_it_is_asked_for() -> None:
    assert same_answer("Answer: PassWord", "Answer: password")
    assert not same_answer("Answer: PassWord", "Answer: password", exact=True)
    assert not same_answer("Answer: 'Ab'", "Answer: 'ab'")
    assert same_answer("Answer: 'Ab'", "Answer: Ab", exact=True)


NUMBERS_IN_WORDS = {
    11: ["أحد عشر", "إحدى عشرة", "undici", "십일"],
    12: ["اثنا عشر", "اثنتا عشرة", "اثني عشر", "dodici"],
    13: ["ثلاثة عشر", "ثلاث عشرة"],
    15: ["خمسة عشر", "خمس عشرة"],
    19: ["تسعة عشر", "diciannove"],
    108: ["centotto", "cento otto", "مائة وثمانية"],
    123: ["centoventitré", "ciento veintitrés", "hundertdreiundzwanzig"],
    211: ["مئتان وأحد عشر", "duecentoundici", "two hundred and eleven"],
    1102: ["one thousand, one hundred and two", "mil cento e dois", "millecentodue"],
    2114: ["ألفان ومائة وأربعة عشر", "zweitausendeinhundertvierzehn"],
    3500: ["three thousand, five hundred", "tremilacinquecento", "ثلاثة آلاف وخمسمائة"],
    12000: ["만 이천", "dodicimila", "اثنا عشر ألفا"],
    23500000000: ["veintitrés mil quinientos millones", "23.5 billion"],
    1000000000: ["mil millones", "mil milhões", "one billion"],
}


@pytest.mark.parametrize("value", NUMBERS_IN_WORDS)
def test_numbers_in_words_are_numbers(value: int) -> None:
    for words in NUMBERS_IN_WORDS[value]:
        assert read_answer(f"Answer: {words}", kind="closed").value == value, words


def test_a_name_is_the_same_whatever_is_said_of_it() -> None:
    for name in ("J. Austen", "F. Kafka", "Lisbon", "G. Orwell"):
        for more in (", who wrote it", ", the one from the south", " (1915)"):
            assert same_answer(f"Answer: {name}{more}", f"Answer: {name}"), (name, more)


def test_number_words_count_what_follows_whatever_its_case() -> None:
    for words in ("forty apples", "Forty apples", "Forty Apples"):
        assert same_answer(f"Answer: {words}", "Answer: 40")
        assert same_answer(f"Answer: {words}", "Answer: 40 apples")
        assert not same_answer(f"Answer: {words}", "Answer: 40 pears")


@pytest.mark.parametrize(
    "text",
    [
        "if (x) {y = 2;} else {z = 2;}",
        "41 let it! go!",
        "#[(]>[^d>\\n 7",
        "old-fast-running-program - Version 3",
        "def f(a): return a;",
    ],
)
def test_code_in_the_place_of_an_answer_is_read_to_its_end(text: str) -> None:
    read = read_answer(json.dumps({"reasoning": "It returns it.", "answer": text}), kind="closed")
    assert same_answer(read, read_answer(text, exact=True, kind="closed")) or read.form == text


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("The answer is the literal string 'a;b;c', which is joined.", "'a;b;c'"),
        ("The answer is the literal boolean False, as it returns.", "False"),
        ("The answer is `True` as a literal boolean value.", "True"),
        ("The output is 'xyz'.\n\nThe answer is the original string in quotes.", "'xyz'"),
        ('{"answer": "5.5"}\n\nNote: The answer is an estimate because x is near 0.', "5.5"),
        ('{"answer": "12"}\n\nNote: The answer is not 13.', "12"),
        ('```json\n{"answer": \\"so it is\\"\n}\n```', "'so it is'"),
    ],
)
def test_what_is_said_about_an_answer_is_not_the_answer(reply: str, said: str) -> None:
    assert same_answer(reply, f"Answer: {said}"), read_answer(reply, kind="closed")


def test_a_step_of_a_plan_is_no_answer() -> None:
    for step in ("3. Divide the cost by the number of cups (20 * 12).", "Step 2: Add 7 to it."):
        assert not read_answer(f"First we count.\n{step}", kind="closed")
