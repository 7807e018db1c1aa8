"""Grad-CAM, for a comparison with the method of `predict --explain`."""

from typing import Any

from keras import ops

from trainers.explanation import ClassActivation


class GradCam(ClassActivation):
    """Class activation maps by Grad-CAM (R. Selvaraju and others, 2016).

    A channel has the same weight at all places: the mean of its gradients.
    """

    def combine(self, feature_map: Any, gradients: Any) -> Any:
        """See `ClassActivation.combine`."""
        return super().combine(feature_map, ops.mean(gradients, axis=(1, 2), keepdims=True))
