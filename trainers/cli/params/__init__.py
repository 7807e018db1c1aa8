"""Types of the values of training options."""

from trainers.cli.params.training import Augment, ImageSize, ModelName, Unfreeze, Weights

__all__ = ["Augment", "ImageSize", "ModelName", "Unfreeze", "Weights"]
