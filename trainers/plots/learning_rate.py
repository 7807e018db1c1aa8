"""Chart of a range test: the loss by learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.plots.style import new_figure, render_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from trainers.learning_rate import LearningRateCurve


@render_png
def plot_learning_rates(curve: LearningRateCurve) -> Figure:
    """Draw the losses and their moving average, and mark the suggestion."""
    figure = new_figure(6, 3.6)
    axes = figure.subplots()
    axes.plot(curve.rates, curve.losses, color="C0", alpha=0.3, label="loss of a batch")
    axes.plot(curve.rates, curve.smoothed_losses, color="C0", label="moving average")
    if curve.suggestion is not None:
        label = f"suggestion: {curve.suggestion:.1g}"
        axes.axvline(curve.suggestion, color="C1", linestyle="--", label=label)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.set_ylim(0, 1.5 * curve.smoothed_losses[0] or 1)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    return figure
