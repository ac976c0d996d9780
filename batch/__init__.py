"""Batches: questions from a file, several at a time, each answered once, in order."""

from __future__ import annotations
