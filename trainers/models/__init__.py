"""Models: registry of names, builders, and pretrained weights."""

from trainers.models.built_in import MODELS
from trainers.models.catalog import ModelList, ModelSummary, models
from trainers.models.registry import (
    find_model,
    is_preset,
    is_reference,
    is_registered,
    register_model,
    require_model,
    resolve_model,
)
from trainers.models.spec import ModelSpec

__all__ = [
    "MODELS",
    "ModelList",
    "ModelSpec",
    "ModelSummary",
    "find_model",
    "is_preset",
    "is_reference",
    "is_registered",
    "models",
    "register_model",
    "require_model",
    "resolve_model",
]
