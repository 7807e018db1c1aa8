"""The plan of a run: its records, its configuration and its phases."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from trainers.input.selection import count_classes, count_steps
from trainers.runs.run_dir import Run
from trainers.runs.run_folder import open_run_folder
from trainers.tasks import ClassCounts, task_of
from trainers.tasks.class_weights import weigh_classes
from trainers.tasks.target import find_column
from trainers.training.planning.option_checks import reads_features

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from records.dataset import Dataset
    from records.format.columns import Column
    from records.format.label_map import LabelMap
    from trainers.config import RunConfig
    from trainers.input.selection import Selection
    from trainers.training.planning.phases import Phase


@dataclass(frozen=True)
class TrainingPlan:
    """All decisions of a run.

    Args:
        dataset: the dataset with the images.
        training: the records to train on.
        validation: the records to validate on after each epoch.
        run_location: the path or URL of the run folder: absent, empty, or a run to resume.
        config: the configuration of the run.
        weights: the initial weights of the backbone: `imagenet` or a path; None if random.
        features: the location of the feature store of the options; None if they name none. Unlike
            `config`, `features` may contain credentials.
        phases: the phases of the run, in order.
        notes: the lines to show before the run starts.
        ends: the changes of the end of the last phase while the run trains, each a step and the
            new end.
    """

    dataset: Dataset
    training: Selection
    validation: Selection
    run_location: str
    config: RunConfig
    weights: str | None
    features: str | None
    phases: tuple[Phase, ...]
    notes: tuple[str, ...]
    ends: tuple[tuple[int, int], ...] = ()

    @property
    def run(self) -> Run:
        """Return the run, which may not exist yet."""
        return Run(open_run_folder(self.run_location), self.config, self.labels)

    @property
    def labels(self) -> LabelMap:
        """Return the names of the outputs of the model: the classes, or the target."""
        target = self.config.architecture.target
        return self.dataset.labels if target is None else (target.name,)

    @property
    def target_column(self) -> Column | None:
        """Return the column that the model predicts; None if it predicts classes."""
        target = self.config.architecture.target
        return None if target is None else find_column(self.dataset, target.name)

    @property
    def epoch_steps(self) -> int:
        """Return the number of steps per epoch; the last step may have fewer images."""
        return count_steps(self.training.records, self.config.options.batch_size)

    @property
    def validation_steps(self) -> int:
        """Return the number of batches of a validation."""
        return count_steps(self.validation.records, self.config.options.batch_size)

    @property
    def epochs(self) -> int:
        """Return the planned number of epochs, the last of which may be incomplete."""
        return count_steps(self.phases[-1].end_step, self.epoch_steps)

    @cached_property
    def class_weights(self) -> NDArray[np.float64] | None:
        """Return the weights of the classes in the loss, see `weigh_classes`."""
        chosen, task = self.config.options.class_weights, task_of(self.config)

        def count() -> ClassCounts:
            counts = count_classes(self.dataset, self.training).tolist()
            return ClassCounts(self.training.records, tuple(counts))

        return weigh_classes(chosen, self.labels, task, count)

    @property
    def fit_class_weights(self) -> dict[int, float] | None:
        """Return the class weights for Keras's `fit`; None if equal, or applied by the loss."""
        weights, options = self.class_weights, self.config.options
        in_loss = task_of(self.config).balances_in_loss or options.augment.mixes_images
        return None if weights is None or in_loss else dict(enumerate(weights[1].tolist()))

    def shortened(self, *ends: tuple[int, int]) -> TrainingPlan:
        """Return the plan with earlier ends of the last phase, in order; see `ends`."""
        last = self.phases[-1]
        for step, end_step in ends:
            last = last.shortened(step, end_step)
        return replace(self, phases=(*self.phases[:-1], last), ends=(*self.ends, *ends))

    def phases_from(self, step: int) -> tuple[Phase, ...]:
        """Return the phases that are not finished at this step, and always the last phase."""
        return tuple(
            phase for phase in self.phases if step < phase.end_step or phase is self.phases[-1]
        )

    def reads_features(self, phase: Phase) -> bool:
        """Return whether a phase trains from features instead of images."""
        return phase.trainable == "head" and reads_features(self.config.options)

    @property
    def final_steps(self) -> int:
        """Return the number of batches of images after the last epoch, for the class means."""
        if not task_of(self.config).is_exclusive or self.reads_features(self.phases[-1]):
            return 0
        return self.epoch_steps + self.validation_steps
