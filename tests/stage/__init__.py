"""The server of scripted models that most tests use: `mom_council.testing`, as programs have it."""

from mom_council.testing import Call, Fault, Load, Reply, Script, Stage

__all__ = ["Call", "Fault", "Load", "Reply", "Script", "Stage"]
