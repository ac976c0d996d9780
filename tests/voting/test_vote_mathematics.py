"""Properties of the counting methods: lossless exits, neutrality, anonymity, monotonicity."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mom_council.records import Ballot, Proposal
from mom_council.voting.counting import _is_settled, count, ranked
from mom_council.voting.methods import METHODS, ranked_pairs
from mom_council.voting.methods.base import AnswerGroup, Standing, Tally, exact

pytestmark = pytest.mark.slow

ASKING = [name for name, method in METHODS.items() if method.asks_voters]
NAMES = "abcd"


def ballot(
    method: str, voter: str, names: list[str], rng: random.Random, weight: float = 1.0
) -> Ballot:
    """Any ballot that the method allows, abstentions and truncated rankings included."""
    names = [name for name in names if name != voter]
    some = tuple(rng.sample(names, rng.randint(0, len(names))))
    fields: dict[str, object] = {"choice": some[0] if some else None}
    if method == "approval":
        fields = {"approved": some}
    elif method == "score":
        fields = {"scores": {name: float(rng.randint(0, 10)) for name in some}}
    elif method != "plurality":
        fields = {"ranking": some}
    return Ballot.model_construct(voter=voter, weight=weight, **{**_EMPTY, **fields})


_EMPTY: dict[str, object] = {
    "round": 1,
    "choice": None,
    "ranking": (),
    "approved": (),
    "scores": {},
}


def proposals_of(names: str | list[str]) -> list[Proposal]:
    return [Proposal(character=name, text=f"'{name}{name}'") for name in names]


def laid(groups: list[AnswerGroup], ballots: list[Ballot]) -> Tally:
    of = {name: at for at, group in enumerate(groups) for name in group.members}
    return Tally(tuple(groups), tuple(each for each in ballots if not each.abstained), of)


def leader(table: Tally, method: str) -> tuple[int, list[Standing], list[int]]:
    standings = METHODS[method].standings(table)
    order = ranked(table, standings)
    return order[0], standings, order


@pytest.mark.parametrize("method", ASKING)
def test_a_lossless_exit_never_loses_in_many_random_profiles(method: str) -> None:
    """25 000 profiles for each method: whatever the rest votes, a decided leader stays."""
    rng = random.Random(7)
    exits = 0
    for _ in range(25_000):
        groups = (
            [AnswerGroup(("a",), 1), AnswerGroup(("b", "c"), 2)]
            if rng.random() < 0.3
            else [AnswerGroup((n,), 1) for n in NAMES]
        )
        groups = groups[: rng.randint(2, 4)]
        names = [name for group in groups for name in group.members]
        voters = rng.sample([*names, "v", "w", "x", "y", "z"], rng.randint(1, 6))
        weights = {voter: rng.choice([1.0, 1.0, 2.0, 0.5]) for voter in voters}
        cast = [ballot(method, voter, names, rng, weights[voter]) for voter in voters]
        early = rng.randint(0, len(cast))
        out = {voter: weights[voter] for voter in voters[early:]}
        table = laid(groups, cast[:early])
        threshold = rng.choice([None, 0.5, 0.7])
        first, standings, order = leader(table, method)
        if not _is_settled(table, standings, order, METHODS[method], out, threshold):
            continue
        exits += bool(out)
        final, ended, after = leader(laid(groups, cast), method)
        assert final == first
        if threshold is not None and out:
            tie = ended[after[1]].value == ended[final].value
            low, high = METHODS[method].shares(table, first, out)
            assert low <= ended[final].share <= high
            reached = not tie and ended[final].share >= exact(threshold)
            assert reached == (low >= exact(threshold))
    assert exits > 500


def test_answers_decided_early_never_flip_in_many_random_profiles() -> None:
    rng = random.Random(8)
    exits = 0
    for _ in range(20_000):
        said = {
            name: (rng.choice("pqrs"), rng.choice([1, 1, 2]))
            for name in "abcdefg"[: rng.randint(1, 7)]
        }
        order = rng.sample(sorted(said), len(said))
        early = order[: rng.randint(1, len(order))]
        out = {name: float(said[name][1]) for name in said if name not in early}
        table = laid(_answers(said, early), [])
        first, standings, ranks = leader(table, "answers")
        if _is_settled(table, standings, ranks, METHODS["answers"], out, None):
            exits += bool(out)
            whole = laid(_answers(said, sorted(said)), [])
            assert whole.options[leader(whole, "answers")[0]].answer == table.options[first].answer
    assert exits > 500


def _answers(said: dict[str, tuple[str, int]], names: list[str]) -> list[AnswerGroup]:
    by: dict[str, list[str]] = {}
    for name in sorted(names):
        by.setdefault(said[name][0], []).append(name)
    return [AnswerGroup(tuple(m), sum(said[n][1] for n in m), answer) for answer, m in by.items()]


@pytest.mark.parametrize("method", ["plurality", "approval"])
def test_the_exit_is_exact_where_it_says_so(method: str) -> None:
    """Undecided means that some completion changes the leader, found by trying them all."""
    rng = random.Random(9)
    groups = [AnswerGroup((name,), 1) for name in "abc"]
    for _ in range(400):
        cast = [
            ballot(method, voter, list("abc"), rng)
            for voter in rng.sample("avwxyz", rng.randint(0, 5))
        ]
        out = {"p": 1.0, "b": 1.0}
        table = laid(groups, [each for each in cast if each.voter not in out])
        first, standings, order = leader(table, method)
        field = "choice" if method == "plurality" else "approved"
        changed = False
        for votes in itertools.product([None, *"abc"], [None, *"ac"]):
            more = [
                Ballot.model_construct(
                    voter=voter,
                    weight=1.0,
                    **{**_EMPTY, field: vote if field == "choice" else (vote,)},
                )
                for voter, vote in zip(out, votes, strict=True)
                if vote
            ]
            changed |= leader(laid(groups, [*table.ballots, *more]), method)[0] != first
        assert _is_settled(table, standings, order, METHODS[method], out, None) != changed


profiles = st.tuples(st.sampled_from(ASKING), st.integers(0, 2**32), st.integers(1, 6))


@settings(max_examples=150)
@given(profiles)
def test_the_order_of_the_ballots_does_not_matter(profile: tuple[str, int, int]) -> None:
    method, seed, voters = profile
    rng = random.Random(seed)
    cast = [
        ballot(method, f"v{at}", list(NAMES), rng, rng.choice([0.1, 0.2, 0.7]))
        for at in range(voters)
    ]
    once = count(proposals_of(NAMES), cast, method=method)
    rng.shuffle(cast)
    assert count(proposals_of(NAMES), cast, method=method) == once


@settings(max_examples=150)
@given(profiles)
def test_renaming_the_voters_does_not_matter(profile: tuple[str, int, int]) -> None:
    method, seed, voters = profile
    rng = random.Random(seed)
    cast = [ballot(method, f"v{at}", list(NAMES), rng) for at in range(voters)]
    renamed = [each.model_copy(update={"voter": f"w{at}"}) for at, each in enumerate(cast)]
    assert count(proposals_of(NAMES), cast, method=method) == count(
        proposals_of(NAMES), renamed, method=method
    )


@settings(max_examples=150)
@given(profiles)
def test_renaming_the_candidates_renames_the_outcome(profile: tuple[str, int, int]) -> None:
    method, seed, voters = profile
    cast = [ballot(method, f"v{at}", list(NAMES), random.Random(seed + at)) for at in range(voters)]
    new = dict(zip(NAMES, "efgh", strict=True))
    renamed = [
        each.model_copy(
            update={
                "choice": new.get(each.choice or ""),
                "ranking": tuple(new[name] for name in each.ranking),
                "approved": tuple(new[name] for name in each.approved),
                "scores": {new[name]: points for name, points in each.scores.items()},
            }
        )
        for each in cast
    ]
    once = count(proposals_of(NAMES), cast, method=method)
    again = count(proposals_of("efgh"), renamed, method=method)
    assert new[once.leader or "a"] == again.leader
    assert [option.tally for option in once.options] == [option.tally for option in again.options]


@settings(max_examples=200)
@given(profiles)
def test_more_support_never_dethrones_the_leader(profile: tuple[str, int, int]) -> None:
    method, seed, voters = profile
    rng = random.Random(seed)
    cast = [ballot(method, f"v{at}", list(NAMES), rng) for at in range(voters)]
    first = count(proposals_of(NAMES), cast, method=method).leader or "a"
    at = rng.randrange(voters)
    cast[at] = cast[at].model_copy(update=_raised(cast[at], method, first))
    assert count(proposals_of(NAMES), cast, method=method).leader == first


def _raised(vote: Ballot, method: str, name: str) -> dict[str, object]:
    if method == "plurality":
        return {"choice": name}
    if method == "approval":
        return {"approved": tuple({*vote.approved, name})}
    if method == "score":
        return {"scores": {**vote.scores, name: 10.0}}
    return {"ranking": (name, *(other for other in vote.ranking if other != name))}


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.integers(2, 5), st.integers(1, 6))
def test_borda_agrees_with_counting_pairs_by_brute_force(seed: int, size: int, voters: int) -> None:
    """Borda's points are the number of options ranked below; a pair left open counts half."""
    rng = random.Random(seed)
    names = list("abcde"[:size])
    cast = [each for at in range(voters) if (each := ballot("borda", f"v{at}", names, rng)).ranking]
    table = laid([AnswerGroup((name,), 1) for name in names], cast)
    for at, standing in enumerate(METHODS["borda"].standings(table)):
        points = Fraction(0)
        for each in cast:
            place = {name: spot for spot, name in enumerate(each.ranking)}
            mine = place.get(names[at], size)
            others = [place.get(name, size) for name in names if name != names[at]]
            points += sum(Fraction(2 * (mine < other) + (mine == other), 2) for other in others)
        assert standing.tally == points


@settings(max_examples=100)
@given(st.sampled_from(ASKING), st.integers(0, 2**32))
def test_a_clone_of_the_leader_leaves_the_outcome(method: str, seed: int) -> None:
    rng = random.Random(seed)
    cast = [ballot(method, f"v{at}", list("abc"), rng) for at in range(5)]
    plain = count(proposals_of("abc"), cast, method=method)
    clone = Proposal(character="k", text=f"'{plain.leader * 2}'" if plain.leader else "''")
    more = count([*proposals_of("abc"), clone], cast, method=method)
    assert plain.leader in more.options[0].members
    assert more.share == plain.share


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.integers(3, 4), st.integers(1, 7))
def test_ranked_pairs_choose_the_order_that_brute_force_finds(
    seed: int, size: int, voters: int
) -> None:
    """Of all orders, the one that keeps the clearest wins: compared win by win, clearest first."""
    rng = random.Random(seed)
    names = list("abcd"[:size])
    cast = [
        Ballot.model_construct(
            voter=f"v{at}",
            weight=float(2**at) + at / 7,
            **{**_EMPTY, "ranking": tuple(rng.sample(names, size))},
        )
        for at in range(voters)
    ]
    table = laid([AnswerGroup((name,), 1) for name in names], cast)
    wins = ranked_pairs.preferences(table)
    pairs = sorted(
        ((a, b) for a in range(size) for b in range(size) if wins[a][b] > wins[b][a]),
        key=lambda pair: (
            wins[pair[1]][pair[0]] - wins[pair[0]][pair[1]],
            -wins[pair[0]][pair[1]],
            pair,
        ),
    )

    def kept(order: tuple[int, ...]) -> list[bool]:
        return [order.index(a) < order.index(b) for a, b in pairs]

    best = max(itertools.permutations(range(size)), key=kept)
    values = [standing.value for standing in METHODS["ranked_pairs"].standings(table)]
    assert max(range(size), key=lambda at: values[at]) == best[0]


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_who_beats_everybody_one_to_one_leads_in_ranked_pairs(seed: int) -> None:
    rng = random.Random(seed)
    cast = [
        each for at in range(7) if (each := ballot("borda", f"v{at}", list(NAMES), rng)).ranking
    ]
    table = laid([AnswerGroup((name,), 1) for name in NAMES], cast)
    wins = ranked_pairs.preferences(table)
    for at in range(4):
        if all(wins[at][other] > wins[other][at] for other in range(4) if other != at):
            assert leader(table, "ranked_pairs")[0] == at
