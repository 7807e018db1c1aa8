"""Exponential moving averages of the trained weights.

Keras keeps the averages as variables of the optimizer, so that checkpoints contain them. It would
also replace the weights by their averages at the end of each call of `fit`, although a run has
several, and their number depends on where it was resumed. Here, the averages replace the weights
only in a block: while the model is validated and written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import keras
from keras import ops

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray


def averaging(kind: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """Return an optimizer that averages from its first steps on, and keeps the weights in `fit`.

    After step n, the momentum is at most (1 + n) / (10 + n), as in
    `tf.train.ExponentialMovingAverage`. With the momentum alone, the average of a short run would
    consist of the first weights.
    """

    class Averaging(kind):  # type: ignore[misc]
        """An optimizer with averages of the weights."""

        @property
        def ema_momentum(self) -> Any:
            """The momentum of the average in the current step."""
            steps = ops.cast(self.iterations, "float32")
            return ops.minimum(self.largest_momentum, (1 + steps) / (10 + steps))

        @ema_momentum.setter
        def ema_momentum(self, value: float) -> None:
            self.largest_momentum = value

        def finalize_variable_values(self, var_list: Any) -> None:
            """Leave the weights unchanged at the end of `fit`."""

    Averaging.__name__ = kind.__name__
    return Averaging


class AveragedWeights:
    """A block in which the weights of a compiled model are replaced by their averages.

    Without averages, the block changes nothing.

    Args:
        model: the model.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._saved: list[tuple[keras.Variable, NDArray[Any]]] = []

    def __enter__(self) -> Self:
        optimizer = getattr(self._model.optimizer, "inner_optimizer", self._model.optimizer)
        self._sync()
        if optimizer.use_ema and int(ops.convert_to_numpy(optimizer.iterations.value)):
            averages = optimizer._model_variables_moving_average  # noqa: SLF001 # has no other name
            variables = self._model.trainable_variables
            self._saved = [(each, ops.convert_to_numpy(each.value)) for each in variables]
            for variable, average in zip(variables, averages, strict=True):
                # A copy: JAX would delete an array that two variables share.
                variable.assign(ops.convert_to_numpy(average.value))
        return self

    def restore(self) -> None:
        """Set the weights before the end of the block, for a checkpoint."""
        if self._saved:
            self._sync()
        for variable, weights in self._saved:
            variable.assign(weights)
        self._saved = []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.restore()

    def _sync(self) -> None:
        """Update the variables on JAX, which keeps the current state outside them."""
        if keras.backend.backend() == "jax":
            self._model.jax_state_sync()
