"""The Python interfaces of memories-dev and moa-llm, as a thin layer over the council.

    from mom_council.compat import LoadModel, MultiModelInference, create_moa_from_config

Code written for them keeps its calls and the shapes of their results. New code is better off with
`mom_council.council`.
"""

from __future__ import annotations

from mom_council.compat.memories_dev import LoadModel, MultiModelInference
from mom_council.compat.moa import Moa, create_moa_from_config

__all__ = ["LoadModel", "Moa", "MultiModelInference", "create_moa_from_config"]
