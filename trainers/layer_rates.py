"""Optimizers with a learning rate for each weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras import ops

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import keras


def with_rate_factors(
    kind: type[keras.optimizers.Optimizer], factors: Mapping[int, float]
) -> type[keras.optimizers.Optimizer]:
    """Return an optimizer that multiplies the learning rate of each weight by a factor.

    The factors are constants of the step, and not a part of the state. The weight decay of a
    weight, which is a fraction of its learning rate, has the same factor.

    Args:
        kind: the class of the optimizer.
        factors: the factors by the id of the variable; other variables have the factor 1.
    """

    class WithRateFactors(kind):  # type: ignore[misc]
        """An optimizer with a learning rate for each weight."""

        def build(self, variables: Sequence[keras.Variable]) -> None:
            """Create the state for the variables, and find their factors."""
            super().build(variables)
            self.rate_factors = tuple(factors.get(id(each), 1.0) for each in variables)

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            """Update a variable, and decay it before, with its own learning rate."""
            factor = self.rate_factors[self._get_variable_index(variable)]
            rate = ops.multiply(ops.cast(learning_rate, variable.dtype), factor)
            if self.weight_decay is not None and self._use_weight_decay(variable):
                self.assign_sub(variable, ops.multiply(variable, self.weight_decay * rate))
            super().update_step(gradient, variable, rate)

        def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
            """Leave the weight decay to `update_step`, which knows the learning rate."""

    WithRateFactors.__name__ = kind.__name__
    return WithRateFactors
