"""The reliability ledger: how often each model was right, kept on this machine.

An outcome is a gold answer, a check that ran, a person's thumb. What peers liked is never an
outcome; how a panel agreed is kept apart from them, as patterns without any text (who said the
same as whom), and gives weights alone. The mathematics is `voting.reliability` and
`voting.agreement`; here the counts are kept, faded by half in every half-life, in `ledger.db` of
the data folder.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from pydantic import ValidationError

from mom_council import paths
from mom_council.councils.recording import (
    Fold,
    RecordedQuestion,
    RecordingError,
    in_fold,
    load_recording,
)
from mom_council.councils.schema import Model
from mom_council.errors import StorageError
from mom_council.paths import DatabaseLayout, open_database
from mom_council.vendors import vendor_of
from mom_council.voting.agreement import (
    LEAST,
    Row,
    measure_agreement,
    witnesses_by_model,
)
from mom_council.voting.fitted import Fitted, Trust, places
from mom_council.voting.reliability import HALF_LIFE, Outcomes, belief, learned_weights
from mom_council.voting.weights import log_odds

Source = Literal["gold", "check", "thumb"]
"""gold: compared with the right answer; check: its code ran; thumb: a person said so."""

FILE = "ledger.db"
_GOOD_FOR = 60.0
"""Seconds for which what was read counts, while nothing is written."""
_SETTLED_NS = 2_000_000_000
"""After a write so long ago, another one cannot have the same time on any file system."""
_RECENT_AT_MOST = 64
_DAY = 86_400.0
_LEAST_OF_A_RECORD = 9.5
"""Outcomes (ten, a little faded) without which nothing is said of a model's record."""
_TABLE = """
CREATE TABLE IF NOT EXISTS outcomes (
    model TEXT NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL, origin TEXT NOT NULL,
    right REAL NOT NULL, wrong REAL NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (model, kind, source, origin)
) STRICT;
CREATE TABLE IF NOT EXISTS fits (
    kind TEXT NOT NULL, panel TEXT NOT NULL, origin TEXT NOT NULL, fitted TEXT NOT NULL,
    at REAL NOT NULL, PRIMARY KEY (kind, panel)
) STRICT;
CREATE TABLE IF NOT EXISTS agreement (
    kind TEXT NOT NULL, panel TEXT NOT NULL, pattern TEXT NOT NULL, times REAL NOT NULL,
    at REAL NOT NULL, PRIMARY KEY (kind, panel, pattern)
) STRICT;
"""
LAYOUT = DatabaseLayout(
    "the ledger",
    (_TABLE,),
    cure="move the file away, or fit it anew with `mom weights fit`",
    dated=(("outcomes", "at"), ("fits", "at"), ("agreement", "at")),
)
ANY_PANEL = ""
_recent: dict[Hashable, tuple[list[tuple[int, int, int]], float, Trust]] = {}
"""What was read, with the state of the file before, and when."""


class Outcome(NamedTuple):
    """One answer that was checked from outside."""

    model: str
    kind: str
    ok: bool
    source: Source = "gold"


class Reliability(NamedTuple):
    """What the ledger says of a model on a kind of question."""

    model: str
    kind: str
    outcomes: float
    """How many there were, faded."""
    accuracy: float
    """The mean of the posterior, shrunk towards the pool."""
    low: float
    high: float
    """Its central interval of 95 %."""


def name_of(spec: Model) -> str:
    """What the ledger calls a voice: provider/model; a replayed one as it was recorded."""
    recorded = vendor_of(spec.provider).is_recording
    return spec.model if recorded else f"{spec.provider}/{spec.model}"


class Ledger:
    """The ledger in one folder. Each call opens the file anew: any thread may call.

    Raises:
        StorageError: (every method) the file cannot be read or written.
    """

    def __init__(self, folder: Path | None = None, *, half_life: float = HALF_LIFE) -> None:
        self._folder = folder or paths.data_dir()
        self._half_life = half_life

    def learn(
        self, outcomes: Iterable[Outcome], *, origin: str = "", at: float | None = None
    ) -> int:
        """Add outcomes; how many there were.

        Args:
            outcomes: each from one of `Source`.
            origin: where they are from; what an origin said before is replaced, so that a file
                fitted twice counts once. Left out, they are added to all others.
            at: epoch seconds they are of; now if left out.

        Raises:
            ValueError: an outcome is from elsewhere, such as from what peers liked.
        """
        at = time.time() if at is None else at
        sums: dict[tuple[str, str, str], Outcomes] = {}
        learned = list(outcomes)
        for one in learned:
            if one.source not in get_args(Source):
                raise ValueError(
                    f"source {one.source!r} is no outcome; it is one of {[*get_args(Source)]}"
                )
            key = (one.model, one.kind, str(one.source))
            sums[key] = sums.get(key, Outcomes()) + Outcomes(float(one.ok), float(not one.ok))
        with self._open() as db:
            if origin:
                db.execute("DELETE FROM outcomes WHERE origin = ?", (origin,))
            for key, new in sums.items():
                row = db.execute(
                    "SELECT right, wrong, at FROM outcomes "
                    "WHERE (model, kind, source, origin) = (?, ?, ?, ?)",
                    (*key, origin),
                ).fetchone()
                old = self._faded(row, at) if row else Outcomes()
                both = old + new
                db.execute(
                    "INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (*key, origin, both.right, both.wrong, at),
                )
        return len(learned)

    def fit(self, path: Path | str, *, fold: Fold | None = "cal", kind: str = "") -> int:
        """Learn from a recording's gold answers; how many outcomes. A file counts once.

        Args:
            path: the recording.
            fold: `cal` by default, so that what is scored afterwards was not learned from; None
                takes every question. One of a single fold is taken whole.
            kind: of all its questions; what each says of itself if left out.

        Raises:
            RecordingError: it cannot be read, or holds no judged answer of that fold.
        """
        outcomes = [
            Outcome(answer.model or model, kind or kind_of(question), bool(answer.ok))
            for question in in_fold(load_recording(path), fold)
            if question.gold is not None
            for model, answer in question.models.items()
        ]
        if not outcomes:
            raise RecordingError(
                f"{str(path)!r} has no answers with a gold answer"
                + (
                    f" in fold {fold!r}; take all folds (--all), or mark some as {fold!r}"
                    if fold
                    else ""
                )
            )
        return self.learn(outcomes, origin=Path(path).name)

    def observe(
        self,
        models: Sequence[str],
        answers: Sequence[str | None],
        kind: str = "",
        *,
        at: float | None = None,
    ) -> None:
        """Keep who answered the same as whom, at one question that all of a panel were asked.

        Args:
            models: of the panel's characters.
            answers: of each, in one form for equal answers; None: it gave none.
            kind: of question.
            at: epoch seconds; now if left out.
        """
        at = time.time() if at is None else at
        order = sorted(range(len(models)), key=lambda place: models[place])
        numbers: dict[str, int] = {}
        pattern = [
            None if (one := answers[place]) is None else numbers.setdefault(one, len(numbers))
            for place in order
        ]
        key = (kind, _panel_key(models), json.dumps(pattern))
        with self._open() as db:
            row = db.execute(
                "SELECT times, at FROM agreement WHERE (kind, panel, pattern) = (?, ?, ?)", key
            ).fetchone()
            times = 1.0 + (self._left(row[0], row[1], at) if row else 0.0)
            db.execute("INSERT OR REPLACE INTO agreement VALUES (?, ?, ?, ?, ?)", (*key, times, at))

    def agreement_rows(
        self, models: Sequence[str], kind: str = "", *, at: float | None = None
    ) -> dict[Row, float]:
        """What a panel answered, in the order of `models`, and how often; answers are numbers.

        Of the kind where enough of it is known, else of every kind.
        """
        at = time.time() if at is None else at
        if not self._there():
            return {}
        with self._open(write=False) as db:
            stored = db.execute(
                "SELECT kind, pattern, times, at FROM agreement WHERE panel = ?",
                (_panel_key(models),),
            ).fetchall()
            order = sorted(range(len(models)), key=lambda place: models[place])
            rows: dict[str, dict[Row, float]] = {}
            for sort, pattern, times, since in stored:
                row: list[int | None] = [None] * len(models)
                for place, answer in zip(order, json.loads(pattern), strict=True):
                    row[place] = answer
                for name in {sort, ""}:
                    of_kind = rows.setdefault(name, {})
                    left = self._left(times, since, at)
                    of_kind[tuple(row)] = of_kind.get(tuple(row), 0.0) + left
        of_kind = rows.get(kind, {})
        return of_kind if sum(of_kind.values()) >= LEAST else rows.get("", {})

    def outcomes(self, at: float | None = None) -> dict[tuple[str, str], Outcomes]:
        """(model, kind) -> its outcomes, faded to `at` (epoch seconds; now if left out)."""
        at = time.time() if at is None else at
        sums: dict[tuple[str, str], Outcomes] = {}
        if not self._there():
            return sums
        with self._open(write=False) as db:
            for model, kind, *row in db.execute(
                "SELECT model, kind, right, wrong, at FROM outcomes ORDER BY model, kind"
            ):
                faded = self._faded(row, at)
                sums[model, kind] = sums.get((model, kind), Outcomes()) + faded
        return sums

    def show(self, kind: str | None = None) -> list[Reliability]:
        """Every model on every kind it has outcomes of, the most accurate first."""
        record = self.outcomes()
        table = []
        for (model, sort), outcomes in record.items():
            if kind in (None, sort):
                estimate = belief(record, model, sort)
                low, high = estimate.interval()
                table.append(Reliability(model, sort, outcomes.number, estimate.mean, low, high))
        return sorted(table, key=lambda one: (one.kind, -one.accuracy, one.model))

    def reset(self, model: str | None = None) -> int:
        """Forget a model's outcomes, or all; how many rows that were."""
        with self._open() as db:
            if model is None:
                db.execute("DELETE FROM fits")
                db.execute("DELETE FROM agreement")
                return db.execute("DELETE FROM outcomes").rowcount
            query = "SELECT panel FROM fits UNION SELECT panel FROM agreement"
            for panel, *_ in db.execute(query).fetchall():
                if panel != ANY_PANEL and model in json.loads(panel):
                    db.execute("DELETE FROM fits WHERE panel = ?", (panel,))
                    db.execute("DELETE FROM agreement WHERE panel = ?", (panel,))
            return db.execute("DELETE FROM outcomes WHERE model = ?", (model,)).rowcount

    def weights(
        self, members: Mapping[str, Model], kind: str, *, options: float = 2.0
    ) -> dict[str, float]:
        """Character -> the weight that its model has earned on a kind of question.

        Log-odds with the correction for `options` answers, never negative; see `reliability`.
        """
        names = {who: name_of(model) for who, model in members.items()}
        models = tuple(dict.fromkeys(names.values()))
        earned = learned_weights(self.outcomes(), models, kind, options=options)
        return {who: earned[model] for who, model in names.items()}

    def keep(self, fitted: Fitted, *, origin: str = "", at: float | None = None) -> None:
        """Keep what was fitted; what was known of the same panel and kind is replaced."""
        panel = _panel_key(fitted.models)
        row = (fitted.kind, panel, origin, fitted.model_dump_json(), at or time.time())
        with self._open() as db:
            db.execute("INSERT OR REPLACE INTO fits VALUES (?, ?, ?, ?, ?)", row)

    def fits(self) -> list[Fitted]:
        """Everything that was fitted, the newest first."""
        return [one for _, one in self._fits()]

    def damaged(self, *, delete: bool = False) -> list[str]:
        """Fits and patterns that cannot be read; deleted where that is asked for."""
        damaged: list[tuple[str, int, str]] = []
        if not self._there():
            return []
        with self._open(write=delete) as db:
            for number, kind, text in db.execute("SELECT rowid, kind, fitted FROM fits"):
                try:
                    Fitted.model_validate_json(text)
                except ValidationError:
                    damaged.append(("fits", number, f"fit of {kind!r}"))
            for number, kind, text in db.execute("SELECT rowid, kind, pattern FROM agreement"):
                try:
                    json.loads(text)
                except ValueError:
                    damaged.append(("agreement", number, f"agreement on {kind!r}"))
            if delete:
                for table, number, _ in damaged:
                    db.execute(f"DELETE FROM {table} WHERE rowid = ?", (number,))  # noqa: S608
        return [name for *_, name in damaged]

    def _fits(self) -> list[tuple[str, Fitted]]:
        if not self._there():
            return []
        with self._open(write=False) as db:
            rows = db.execute("SELECT panel, fitted FROM fits ORDER BY at DESC, kind").fetchall()
        try:
            return [(panel, Fitted.model_validate_json(text)) for panel, text in rows]
        except ValidationError as error:
            raise StorageError(
                (
                    f"the ledger in {str(self._folder)!r} holds a fit that cannot be read "
                    f"({error.error_count()} faults)"
                ),
                cure="`mom weights fit` makes it anew, and `mom storage check --repair` deletes it",
            ) from None

    def trust(self, members: Mapping[str, Model], panel: tuple[str, ...], kind: str = "") -> Trust:
        """What is known of a council's models on a kind of question; of any kind if left out.

        `members` are its characters and their models, `panel` those of its first layer.

        Reads files: call it off the event loop.
        """
        state, now = self._state(), time.time_ns()
        trust = self._read_trust(members, panel, kind)
        if all(now - changed > _SETTLED_NS for *_, changed in state):
            while len(_recent) >= _RECENT_AT_MOST:
                _recent.pop(next(iter(_recent)), None)
            _recent[self._key(members, panel, kind)] = (state, time.monotonic(), trust)
        return trust

    def recent_trust(
        self, members: Mapping[str, Model], panel: tuple[str, ...], kind: str = ""
    ) -> Trust | None:
        """What `trust` said last, where the ledger is as it was then: no file is opened."""
        entry = _recent.get(self._key(members, panel, kind))
        if entry is None or time.monotonic() - entry[1] > _GOOD_FOR or entry[0] != self._state():
            return None
        return entry[2]

    def _key(self, members: Mapping[str, Model], panel: tuple[str, ...], kind: str) -> Hashable:
        voices = tuple((who, name_of(model)) for who, model in members.items())
        return self._folder, self._half_life, voices, panel, kind

    def _state(self) -> list[tuple[int, int, int]]:
        """What tells whether the file was written: of it and of its log, where that holds any."""
        states = []
        for name in (FILE, f"{FILE}-wal"):
            try:
                stat = os.stat(self._folder / name)  # noqa: PTH116 - of both on each question
            except OSError:
                continue
            if stat.st_size:
                states.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
        return states

    def _read_trust(self, members: Mapping[str, Model], panel: tuple[str, ...], kind: str) -> Trust:
        voices = {who: name_of(model) for who, model in members.items()}
        trust = Trust(kind=kind, voices=voices, panel=panel)
        if not self._there():
            return trust
        record, fits = self.outcomes(), self._fits()
        key = _panel_key([voices[name] for name in panel])
        fitted = _first(fits, key, kind)
        any_panel = _first(fits, ANY_PANEL, kind)
        models_on_record = {model for model, _ in record} & set(voices.values())
        rows = {} if fitted else self.agreement_rows([voices[name] for name in panel], kind)
        agreement = None
        if sum(rows.values()) >= LEAST:
            judged = [record.get((voices[name], kind or "general"), Outcomes()) for name in panel]
            outcomes = [(one.right, one.number) for one in judged]
            agreement = measure_agreement(rows, outcomes=outcomes)
        if not models_on_record and fitted is None and agreement is None:
            return trust
        about = fitted or any_panel
        options = about.options if about else 2.0
        sort = kind or (about.kind if about else "general")
        models = tuple(dict.fromkeys(voices.values()))
        mean = {model: belief(record, model, sort, options=options).mean for model in models}
        earned = learned_weights(record, models, sort, options=options)
        odds = {name: log_odds(mean[model], options) for name, model in voices.items()}
        weights = {name: earned[model] for name, model in voices.items()}
        none: float | None = None
        if fitted is not None and (place := places(fitted.models, _some(voices, panel))):
            if fitted.few and fitted.agreement >= LEAST:
                none = fitted.none
            odds |= {name: fitted.weights[at] for name, at in place.items()}
            weights |= {name: fitted.joint[at] for name, at in place.items()}
            # Whom the learned vote gives most weight is asked first; of equals, the more accurate.
            strength = {name: fitted.joint[at] - 1e-6 * at for name, at in place.items()}
        else:
            strength = {name: mean[model] for name, model in voices.items()}
            kin = witnesses_by_model([voices[name] for name in panel])
            weights |= {name: weights[name] * kin[at] for at, name in enumerate(panel)}
        if agreement is not None:
            weights |= dict(zip(panel, agreement.vote.weights, strict=True))
            strength |= dict(zip(panel, agreement.rates, strict=True))
            none = agreement.vote.none
        return trust.model_copy(
            update={
                "odds": odds,
                "weights": weights,
                "strength": strength,
                "records": _records(record, voices, sort),
                "agreement": agreement.questions if agreement else 0.0,
                "none": none,
                "fitted": fitted,
                "any_panel": any_panel,
            }
        )

    def kinds(self) -> tuple[str, ...]:
        """The kinds of question that it knows anything of."""
        if not self._there():
            return ()
        kinds = {kind for _, kind in self.outcomes()} | {one.kind for one in self.fits()}
        return tuple(sorted(kinds))

    def _there(self) -> bool:
        return (self._folder / FILE).is_file()

    def _left(self, times: float, since: float, at: float) -> float:
        return Outcomes(times).faded(max(0.0, at - since) / _DAY, self._half_life).right

    def _faded(self, outcomes: Sequence[float], at: float) -> Outcomes:
        right, wrong, kept_at = outcomes
        return Outcomes(right, wrong).faded(max(0.0, at - kept_at) / _DAY, self._half_life)

    def _open(self, *, write: bool = True) -> AbstractContextManager[sqlite3.Connection]:
        return open_database(self._folder / FILE, LAYOUT, write=write)


def kind_of(question: RecordedQuestion) -> str:
    """The kind of a recorded question, as the ledger names it."""
    return question.category or question.dataset or "general"


def _first(fits_by_key: Sequence[tuple[str, Fitted]], panel: str, kind: str) -> Fitted | None:
    """The newest fit of a panel: on this kind, else on questions of every kind; any if unasked."""
    fits = [one for key, one in fits_by_key if key == panel]
    for sort in (kind, "general"):
        for one in fits:
            if not kind or one.kind == sort:
                return one
    return None


def _records(
    record: Mapping[tuple[str, str], Outcomes], voices: Mapping[str, str], kind: str
) -> dict[str, float]:
    """How often each character's model was right, where enough outcomes say it."""
    by_name = {name: record.get((model, kind), Outcomes()) for name, model in voices.items()}
    return {
        name: outcomes.right / outcomes.number
        for name, outcomes in by_name.items()
        if outcomes.number >= _LEAST_OF_A_RECORD
    }


def _panel_key(models: Sequence[str]) -> str:
    return json.dumps(sorted(models)) if models else ANY_PANEL


def _some(voices: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    return {name: voices[name] for name in names}
