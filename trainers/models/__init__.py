"""The models that can be trained: `table` names them, `network` builds one."""

from trainers.models.registry import MODELS, ModelSpec, find_model

__all__ = ["MODELS", "ModelSpec", "find_model"]
