"""Many questions, a few at a time: read from a file, answered once each, written in their order."""

from __future__ import annotations
