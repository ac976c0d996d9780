"""Councils out of other systems' files: one file for each format, and the table of them.

Nothing is executed, no key is copied, and what has no place in a council is listed with its reason.
"""

from __future__ import annotations

from mom_council.councils.importers.foreign import Imported, ImportNote
from mom_council.councils.importers.table import FORMATS, import_council

__all__ = ["FORMATS", "ImportNote", "Imported", "import_council"]
