"""The `.env.local` of moa-llm, which says where the models are and holds the key to them."""

from __future__ import annotations

from collections.abc import Mapping

from mom_council.councils.importers.findings import Draft, Report
from mom_council.councils.importers.moa_yaml import KEY_ENV, KEYS
from mom_council.errors import CouncilError

__all__ = ["KEYS", "read"]


def read(env: Mapping[str, str], report: Report) -> Draft:
    """Nobody: such a file names no model.

    Raises:
        CouncilError: always.
    """
    raise CouncilError(
        f".env: holds an address and {KEY_ENV} but no model; import the moa_config.yaml that goes "
        "with it, and what stands here is read along"
    )
