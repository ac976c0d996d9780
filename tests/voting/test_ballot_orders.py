"""No reading of a ballot ever inverts an order, in any form or language; in doubt it abstains."""

# ruff: noqa: E501 - one line holds one ballot

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mom_council.voting.ballots import Candidate, read_ballot

Order = Sequence[str]
THREE = [Candidate("A", "Ann", "42"), Candidate("B", "Bob", "43"), Candidate("C", "Cy", "44")]
WORDS = {
    "English": ("First", "Second", "Third"),
    "German": ("Erstens", "Zweitens", "Drittens"),
    "French": ("Premier", "Deuxième", "Troisième"),
    "Spanish": ("Primero", "Segundo", "Tercero"),
    "Portuguese": ("Primeiro", "Segundo", "Terceiro"),
    "Italian": ("Primo", "Secondo", "Terzo"),
    "Russian": ("Первый", "Второй", "Третий"),
    "Chinese": ("第一", "第二", "第三"),
    "Japanese": ("第1位", "第2位", "第3位"),
    "Korean": ("첫째", "둘째", "셋째"),
    "Hindi": ("पहला", "दूसरा", "तीसरा"),
    "Arabic": ("الأول", "الثاني", "الثالث"),
}
_SUFFIX = {1: "st", 2: "nd", 3: "rd"}


def _nth(place: int) -> str:
    return f"{place}{_SUFFIX.get(place, 'th')}"


def _shuffled(order: Order) -> list[tuple[str, int]]:
    """Labels with their places, in the order of the labels: as a voter goes through them."""
    return sorted((label, place) for place, label in enumerate(order, 1))


FORMS: dict[str, Callable[[Order], str]] = {
    "JSON list": lambda o: json.dumps({"reason": "x", "ranking": list(o)}),
    "JSON ranks": lambda o: json.dumps({"ranking": dict(_shuffled(o))}),
    "JSON ranks alone": lambda o: json.dumps(dict(_shuffled(o))),
    "JSON ordinals": lambda o: json.dumps({"ranking": {a: _nth(n) for a, n in _shuffled(o)}}),
    "JSON nested": lambda o: json.dumps({a: {"rank": n} for a, n in _shuffled(o)}),
    "JSON objects": lambda o: json.dumps(
        {"ranking": [{"label": a, "rank": n} for a, n in _shuffled(o)]}
    ),
    "JSON places": lambda o: json.dumps({str(n): a for n, a in enumerate(o, 1)}),
    "JSON places under a key": lambda o: json.dumps(
        {"ranking": {_nth(n): a for n, a in enumerate(o, 1)}}
    ),
    "JSON points": lambda o: json.dumps({"scores": {a: 10 - n for a, n in _shuffled(o)}}),
    "JSON chain": lambda o: json.dumps({"ranking": " > ".join(o)}),
    "chain": ">".join,
    "spaced chain": lambda o: "My ranking: " + " > ".join(o) + ".",
    "arrows": " ➜ ".join,
    "then": ", then ".join,
    "commas": lambda o: "Ranking: " + ", ".join(o),
    "lines of ranks": lambda o: "\n".join(f"{a}: {n}" for a, n in _shuffled(o)),
    "bold ranks": lambda o: "\n".join(f"- **{a}**: {n}" for a, n in _shuffled(o)),
    "ranks in a line": lambda o: ", ".join(f"{a}: {n}" for a, n in _shuffled(o)),
    "equal signs": lambda o: " ".join(f"{a}={n}" for a, n in _shuffled(o)),
    "sentence of ranks": lambda o: ". ".join(f"{a}: {n}" for a, n in _shuffled(o)) + ".",
    "ordinals after": lambda o: ", ".join(f"{a} is {_nth(n)}" for a, n in _shuffled(o)) + ".",
    "ordinals before": lambda o: "\n".join(f"{_nth(n)}: {a}" for n, a in enumerate(o, 1)),
    "ordinals in a line": lambda o: "; ".join(f"{_nth(n)} place: {a}" for n, a in enumerate(o, 1)),
    "numbered": lambda o: "\n".join(f"{n}. {a}" for n, a in enumerate(o, 1)),
    "numbered with reasons": lambda o: "\n".join(
        f"{n}. Candidate {a} - sound enough" for n, a in enumerate(o, 1)
    ),
    "numbered in a line": lambda o: " ".join(f"{n}. {a}" for n, a in enumerate(o, 1)),
    "hashes": lambda o: "\n".join(f"#{n} {a}" for n, a in enumerate(o, 1)),
    "ranks before": lambda o: "\n".join(f"Rank {n}: {a}" for n, a in enumerate(o, 1)),
    "ranks after": lambda o: "\n".join(f"{a}: rank {n}" for a, n in _shuffled(o)),
    "table": lambda o: (
        "| Candidate | Rank |\n|---|---|\n" + "\n".join(f"| {a} | {n} |" for a, n in _shuffled(o))
    ),
    "table of places": lambda o: (
        "| Rank | Candidate |\n|---|---|\n"
        + "\n".join(f"| {n} | {a} |" for n, a in enumerate(o, 1))
    ),
    "table with notes": lambda o: (
        "| Candidate | Notes | Rank |\n|---|---|---|\n"
        + "\n".join(f"| **{a}** | 3 steps | {n} |" for a, n in _shuffled(o))
    ),
    "points out of ten": lambda o: "\n".join(f"{a}: {10 - n}/10" for a, n in _shuffled(o)),
    "tag": lambda o: f"<ranking>{' > '.join(o)}</ranking>",
}
AROUND = [
    "{}",
    "I compared them with care.\n\n{}",
    "```\n{}\n```",
    "<think>{reversed}</think>{}",
    "{}\n\nThat is my view.",
]


@given(
    order=st.permutations("ABCDE").map(lambda p: p[:4]),
    form=st.sampled_from(sorted(FORMS)),
    around=st.sampled_from(AROUND),
    size=st.integers(2, 4),
)
@settings(max_examples=400)
def test_every_form_says_its_order(order: list[str], form: str, around: str, size: int) -> None:
    labels = sorted(order)[:size]
    order = [label for label in order if label in labels]
    shown = [Candidate(label, f"{label}-name", f"text {label}") for label in labels]
    text = around.replace("{reversed}", FORMS[form](order[::-1])).replace("{}", FORMS[form](order))
    reading = read_ballot(text, shown, "borda")
    assert reading.ranking == tuple(f"{label}-name" for label in order), text


@given(
    order=st.permutations("ABC"),
    first=st.sampled_from(sorted(FORMS)),
    second=st.sampled_from(sorted(FORMS)),
    seed=st.integers(0, 1000),
)
@settings(max_examples=400)
def test_broken_and_joined_forms_are_read_right_or_not_at_all(
    order: list[str], first: str, second: str, seed: int
) -> None:
    rng = random.Random(seed)
    text = FORMS[first](order)
    if rng.random() < 0.5:
        text = text.replace("\n", " ")
    if rng.random() < 0.5:
        text += "\n\n" + FORMS[second](order)
    if rng.random() < 0.3:
        text = text.lower()
    reading = read_ballot(text, THREE, "borda")
    right = [{"A": "Ann", "B": "Bob", "C": "Cy"}[label] for label in order]
    kept = [name for name in right if name in reading.ranking]
    assert list(reading.ranking) == kept, text
    choice = read_ballot(text, THREE, "plurality").choice
    assert choice in (None, right[0]), text


@pytest.mark.parametrize("order", list(itertools.permutations("ABC")))
@pytest.mark.parametrize("language", sorted(WORDS))
def test_places_are_read_in_every_language(order: Order, language: str) -> None:
    words = WORDS[language]
    text = ". ".join(f"{word}: {label}" for word, label in zip(words, order, strict=True)) + "."
    names = tuple({"A": "Ann", "B": "Bob", "C": "Cy"}[label] for label in order)
    assert read_ballot(text, THREE, "borda").ranking == names


@pytest.mark.parametrize(
    "text",
    [
        "Ranking from worst to best: B, A, C",
        "Ranking (worst first): B > A > C",
        "A: 3, B: 2, C: 1 (3 is best)",
        "A: 1, B: 3",
        "A: 2, B: 2, C: 1",
        "A: 0, B: 1, C: 2",
        '{"ranking": {"A": 0, "B": 2, "C": 1}}',
        '{"ranking": {"A": 1, "B": 1, "C": 2}}',
        '{"ranking": [{"label": "A", "rank": 1, "score": 2}, {"label": "B", "rank": 2, "score": 9}]}',
        "A < B < C",
        "A 1 B 2 C 3",
        "1. A: 2\n2. B: 3\n3. C: 1",
        "B > A > C, no: C > B = A",
    ],
)
def test_where_the_order_is_doubtful_the_voter_abstains(text: str) -> None:
    reading = read_ballot(text, THREE, "borda")
    assert reading.abstained, reading


VOTES = {
    "English": ["B gets my vote.", "My vote goes to B", "I'd pick B", "B wins my vote"],
    "German": ["Meine Stimme: B", "Ich stimme für B.", "Ich wähle Antwort B.", "Am besten ist B."],
    "French": ["Je vote pour B.", "Mon choix : B", "Je choisis la réponse B.", "La meilleure est B."],
    "Spanish": ["Voto por B.", "Mi voto es para B", "Elijo la respuesta B.", "La mejor es B."],
    "Portuguese": ["Voto em B.", "Meu voto vai para B", "Escolho a resposta B.", "A melhor é B."],
    "Italian": ["Voto per B.", "Il mio voto va a B", "Scelgo la risposta B.", "La migliore è B."],
    "Russian": ["Голосую за B.", "Мой голос: B", "Я выбираю ответ B.", "Лучший ответ — B."],
    "Chinese": ["我投给B。", "我的投票：B", "我选择B。", "最佳答案是B。"],
    "Japanese": ["Bに投票します。", "投票：Ｂ", "私はBを選びます。", "最良の回答はBです。"],
    "Korean": ["B에 투표합니다.", "투표: B", "저는 B를 선택합니다.", "가장 좋은 답변은 B입니다."],
    "Hindi": ["मेरा वोट B को है।", "वोट: B", "मैं B को चुनता हूँ।", "सबसे अच्छा उत्तर B है।"],
    "Arabic": ["أصوت لـ B.", "صوتي: B", "أختار B.", "أفضل إجابة هي B."],
    "signs": ["👉 **B**", "Vote ➜ B", "<vote>B</vote>", "[vote]B[/vote]", "✅ B", "B ✔", "[x] B\n[ ] A\n[ ] C", "A ❌\nB ✅\nC ❌", "🏆 B"],
}  # fmt: skip


@pytest.mark.parametrize("text", [text for texts in VOTES.values() for text in texts])
def test_a_vote_is_read_in_every_language(text: str) -> None:
    assert read_ballot(text, THREE, "plurality").choice == "Bob"


NO_VOTES = [
    "I abstain.", "I refuse to vote.", "I can't tell B from A.", "I will not vote for B.",
    "Ich enthalte mich.", "Ich stimme nicht für B.", "Ich weiß es nicht.",
    "Je m'abstiens.", "Je ne vote pas pour B.", "Je ne sais pas.",
    "Me abstengo.", "No voto por B.", "No lo sé.",
    "Abstenho-me.", "Não voto em B.", "Não sei.",
    "Mi astengo.", "Non voto per B.", "Non lo so.",
    "Воздерживаюсь.", "Я не голосую за B.", "Не знаю.",
    "我弃权。", "我不投给B。", "不知道。",
    "棄権します。", "Bには投票しません。", "わかりません。",
    "기권합니다.", "B에 투표하지 않습니다.", "모르겠습니다.",
    "मैं B को वोट नहीं देता।", "मुझे नहीं पता।",
    "أمتنع عن التصويت.", "لا أصوت لـ B.", "لا أعرف.",
    "✅ A\n✅ B", "null", '{"vote": ""}', '{"vote": "none"}', '{"vote": {}}',
]  # fmt: skip


@pytest.mark.parametrize("text", NO_VOTES)
def test_no_vote_is_no_vote_in_every_language(text: str) -> None:
    assert read_ballot(text, THREE, "plurality").abstained
    assert read_ballot(text, THREE, "borda").abstained


SCORES = [
    "A: 8,5/10\nB: 6/10\nC: 9/10",
    "A: 8,5 Punkte\nB: 6 Punkte\nC: 9 Punkte",
    "A : 8,5 sur 10\nB : 6 sur 10\nC : 9 sur 10",
    "A: 8,5 из 10, B: 6 из 10, C: 9 из 10",
    "A：8.5分\nB：6分\nC：9分",
    "A: 10点中8.5点\nB: 10点中6点\nC: 10点中9点",
    "A: 10점 만점에 8.5점\nB: 10점 만점에 6점\nC: 10점 만점에 9점",
    "### A\nCorrect.\n**Score: 8.5/10**\n### B\nWeak.\n**Score: 6/10**\n### C\nBest.\n**Score: 9/10**",
    "**Candidate A**\nFine.\nNote : 8,5/10\n\n**Candidate B**\nNote : 6/10\n\n**Candidate C**\nNote : 9/10",
    "A:\n- right\n- Rating: 8.5\n\nB:\n- weak\n- Rating: 6\n\nC:\n- best\n- Rating: 9",
    "| Candidate | Score |\n|---|---|\n| A | 8.5 |\n| B | 6 |\n| C | 9 |",
    '{"scores": {"A": "8,5", "B": "6/10", "C": 9}}',
    '{"A": {"score": 8.5}, "B": {"score": 6}, "C": {"score": 9}}',
    '[{"label": "A", "points": 8.5}, {"label": "B", "points": 6}, {"label": "C", "points": 9}]',
    '{"scores": [{"candidate": "A", "rating": 8.5}, {"candidate": "B", "rating": 6}, {"candidate": "C", "rating": 9}]}',
]  # fmt: skip


@pytest.mark.parametrize("text", SCORES)
def test_points_are_points(text: str) -> None:
    assert read_ballot(text, THREE, "score").scores == {"Ann": 8.5, "Bob": 6.0, "Cy": 9.0}
    assert read_ballot(text, THREE, "borda").ranking in ((), ("Cy", "Ann", "Bob"))


@pytest.mark.parametrize(
    "text", ['{"ranking": {"A": 2, "B": 3, "C": 1}}', "1st: C, 2nd: A, 3rd: B"]
)
def test_ranks_are_no_points(text: str) -> None:
    assert read_ballot(text, THREE, "score").abstained
    assert read_ballot(text, THREE, "plurality").choice == "Cy"


def test_a_ballot_that_broke_off_votes_only_with_a_whole_object() -> None:
    cut = "A is wrong and B is nearly right, but my vote goes to A"
    assert read_ballot(cut, THREE, "plurality", complete=False).abstained
    whole = '{"reason": "B adds up", "vote": "B"} and further I'
    assert read_ballot(whole, THREE, "plurality", complete=False).choice == "Bob"


def test_a_reason_shows_names_and_no_private_labels() -> None:
    raw = '{"reason": "A good start, but Candidate A errs; B is right, as (C) says.", "vote": "B"}'
    reason = read_ballot(raw, THREE, "plurality").reason
    assert reason == "A good start, but Ann errs; Bob is right, as (Cy) says."
