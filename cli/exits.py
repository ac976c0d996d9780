"""What the `mom` command's exit code says."""

from __future__ import annotations

from mom_council.errors import (
    BudgetError,
    CouncilError,
    MixtureError,
    StorageError,
    ThermalError,
)

ANSWERED = 0
"""An answer came, degraded or not; or the command did what it was to do."""

FAILED = 1
"""Something outside the council failed: storage, a download, a full disk."""

USAGE = 2
"""The command was called wrongly: no question, an unknown option, a thread that is not there."""

COUNCIL = 3
"""The council file is wrong, or there is none of that name."""

NOBODY = 4
"""Nobody answered, or too few."""

STOPPED = 5
"""Stopped by the budget or by the heat, or waiting for leave to call a tool."""

INTERRUPTED = 130
"""Stopped by Ctrl-C."""

LEFT = 141
"""Whoever read the output has left (`mom ... | head`)."""

TERMINATED = 143
"""Stopped by SIGTERM."""


def exit_code(error: MixtureError) -> int:
    """The exit code of an error."""
    if isinstance(error, BudgetError | ThermalError):
        return STOPPED
    if isinstance(error, CouncilError):
        return COUNCIL
    if isinstance(error, StorageError):
        return FAILED
    return NOBODY
