"""Extensions: their hooks before and after nodes, how they are found, and the bundled ones.

An author needs three names from here: `Extension`, `At` and `Change`.
"""

from __future__ import annotations

from mom_council.extensions.protocol import At, Change, Extension

__all__ = ["At", "Change", "Extension"]
