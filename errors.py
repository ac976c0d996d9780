"""The errors of the council, as one tree.

    MixtureError
      CouncilError              the council cannot sit as it is written
        UnknownNameError        a name in it stands for nothing (a near miss is suggested)
        CapabilityError         a model is asked for what it cannot do
      ModelError                a model did not answer
        ProviderNotInstalledError   its provider's package (or key) is missing
        ModelUnavailableError   every attempt failed; `.attempts` says how
          OverBudgetError       nothing was sent: a budget has no room for the request
      DeliberationError         the council could not decide
        QuorumError             too few answered; `.answered` of `.needed`
        ThermalError            the hardware stayed too hot
        BudgetError             the question's budget ran out
      InputError                a run's settings, or an edited state, cannot be used
      ConsentError              money would be spent, and nobody said yes
      StorageError              threads, traces or settings cannot be kept where they should be
        ThreadBusyError         another process is at work on the thread
        DamagedValueError       what is stored cannot be read back

Each says what happened (`what`) and what to do about it (`cure`); its message is both, in one line.
A message names its things with repr. Keys are taken out of both.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mom_council.redaction import redact

if TYPE_CHECKING:
    from mom_council.records import Absence, Attempt, Usage

UNREADABLE = (ValueError, TypeError, LookupError, ArithmeticError, EOFError, zlib.error)
"""What reading a damaged value raises: bad JSON, bad UTF-8, a broken archive, a missing field."""


class MixtureError(RuntimeError):
    """Whatever this package raises on purpose.

    A RuntimeError, because LangGraph's server shows its callers the messages of built-in errors
    only, and ours name the cure.

    Attributes:
        what: what happened, without a full stop.
        cure: what to do about it; empty where nothing can be said.
    """

    def __init__(self, what: str = "", *, cure: str = "") -> None:
        self.what = redact(what)
        self.cure = redact(cure)
        super().__init__(f"{self.what}; {self.cure}" if self.cure else self.what)


class CouncilError(MixtureError):
    """The council cannot sit as it is written."""


class UnknownNameError(CouncilError):
    """A name in the council, or asked for, stands for nothing."""


class CapabilityError(CouncilError):
    """A model is asked for something that it cannot do."""


class ModelError(MixtureError):
    """A model did not answer."""


class ProviderNotInstalledError(ModelError):
    """The package or the key that a provider needs is not here."""


class ModelUnavailableError(ModelError):
    """Every attempt at a model, and at its fallbacks, failed.

    Attributes:
        attempts: each attempt in order: which model, what went wrong, how long it took.
        usage: the requests, tokens and time that they cost, where that was counted.
    """

    def __init__(
        self,
        what: str,
        attempts: Sequence[Attempt] = (),
        usage: Usage | None = None,
        *,
        cure: str = "",
    ) -> None:
        super().__init__(what, cure=cure)
        self.attempts = tuple(attempts)
        self.usage = usage


class OverBudgetError(ModelUnavailableError):
    """A request was not sent: a budget of calls, tokens or dollars has no room for it."""


class DeliberationError(MixtureError):
    """The council could not decide."""


class QuorumError(DeliberationError):
    """Too few characters answered for the council to go on.

    Attributes:
        answered: how many proposals there are.
        needed: how many the quorum asks for.
        absences: who is missing, each with its reason.
    """

    def __init__(
        self,
        what: str,
        *,
        answered: int,
        needed: int,
        absences: Sequence[Absence] = (),
        cure: str = "",
    ) -> None:
        super().__init__(what, cure=cure)
        self.answered = answered
        self.needed = needed
        self.absences = tuple(absences)


class ThermalError(DeliberationError):
    """The hardware stayed above its limit for as long as the council was willing to wait."""


class BudgetError(DeliberationError):
    """The question's budget of calls, tokens, seconds or money ran out before an answer."""


class InputError(MixtureError, ValueError):
    """A run's settings, or the edited state of a thread, cannot be used as they were handed in.

    A ValueError too, which LangGraph's server answers with its message and a status below 500.
    """


class ConsentError(MixtureError):
    """It needs a yes that nobody gave: money would be spent in place of a local model."""


class StorageError(MixtureError):
    """Threads, traces or downloads cannot be kept where they should be."""


class ThreadBusyError(StorageError):
    """Another program, or another question here, writes the thread."""


class DamagedValueError(StorageError):
    """A stored value cannot be read back: cut short, overwritten, or of no known form."""
