"""The Python interfaces that memories-dev and moa-llm promise, as a thin layer over the council.

    from mixture_of_models.compat import LoadModel, MultiModelInference, create_moa_from_config

Code written for them keeps its calls and the shapes of their results. New code is better off with
`mixture_of_models.council`.
"""

from __future__ import annotations

from mixture_of_models.compat.load_model import LoadModel
from mixture_of_models.compat.moa import Moa, create_moa_from_config
from mixture_of_models.compat.multi_model import MultiModelInference

__all__ = ["LoadModel", "Moa", "MultiModelInference", "create_moa_from_config"]
