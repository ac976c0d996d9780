"""Hooks around the nodes: what an extension is, how it is found, and the bundled ones.

An author needs three names from here: `Extension`, `At` and `Change`.
"""

from __future__ import annotations

from mom_council.extensions.protocol import At, Change, Extension

__all__ = ["At", "Change", "Extension"]
