"""Checks of this machine, each with its fix: one file for each kind.

A check is a function that yields findings. None of them changes anything, sends a question or shows
a key; a check that does not end in time is a finding itself.
"""

from __future__ import annotations
