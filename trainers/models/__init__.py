"""Models: registry of names, builders, and pretrained weights."""

from trainers.models.catalog import ModelList, ModelSummary, models
from trainers.models.registry import (
    MODELS,
    ModelSpec,
    find_model,
    is_preset,
    is_reference,
    is_registered,
    register_model,
    require_model,
    resolve_model,
)

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
