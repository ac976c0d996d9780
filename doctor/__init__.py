"""What could be wrong on this machine, and its cure: one file for each part of it.

A part is a function that yields findings. None of them changes anything, sends a question or shows
a key; what does not answer in time is a finding itself.
"""

from __future__ import annotations
