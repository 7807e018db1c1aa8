"""Rates of the stages of a training run, in images per second.

A stage warms up before it is timed: tracing and compilation finish, and prefetched batches are
used up. Then the images that the stage processes in the given time are counted.

Each stage of the input is a separate endless dataset, which calls the same functions as training,
with the same number of threads. All stages except `read` work on data in memory, so that no stage
waits for another stage.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
from keras import ops

from records.format.digest import FileDigest
from records.format.manifest import ShardInfo
from trainers.augment.layers import build_augmenter
from trainers.doctor.diagnose import StageRate
from trainers.input.decode import decode_crops, decode_images
from trainers.input.parallelism import parallel_map
from trainers.input.parse import RecordParser
from trainers.input.pipeline import interleaved_batches, ordered_batches, shuffled_batches
from trainers.input.selection import Selection
from trainers.input.shuffle import ShuffleSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from trainers.input.pipeline import RecordSource
    from trainers.training.phase_setup import PhaseSetup
    from trainers.training.planning import TrainingPlan


_WARM_UP_PART = 0.5
_LEAST_CALLS = 2
_WARM_UP_STEPS = 3
_LOOK_SECONDS = 0.25


def time_stages(plan: TrainingPlan, stage: PhaseSetup, seconds: float) -> Iterator[StageRate]:
    """Time one stage after another; timing the steps changes the weights of the model.

    Args:
        plan: the plan of the training run.
        stage: the model and the input of a phase that reads shards.
        seconds: the approximate time for each stage, in seconds.

    Yields:
        The rates of `read`, `parse`, `decode`, `batch`, `input`, `augment` (only if the run has
        augmentation), `step` and `training`, in this order.
    """
    inputs = profile_inputs(plan, stage.source)
    images, labels = inputs.batch
    for name, batches in inputs.stages.items():
        yield StageRate(name, time_calls(partial(_take, iter(batches)), seconds))
    options = plan.config.options
    shuffled = stage.read_training(plan.training, options.batch_size, endless_order(plan))
    input_rate = _time_input(shuffled, plan.training.records, seconds)
    yield StageRate("input", input_rate)
    if augmenter := build_augmenter(options.augment, plan.config.shape, options.seed):
        yield StageRate("augment", _time_augmenter(augmenter, images.numpy(), seconds))
    same = stage.as_input(tf.data.Dataset.from_tensors((images, labels)).repeat())
    yield StageRate("step", _time_steps(stage, same, seconds) * options.batch_size)
    both = _time_steps(stage, shuffled, seconds) * options.batch_size
    yield StageRate("training", min(both, input_rate))


def time_calls(work: Callable[[], int], seconds: float) -> float:
    """Return the images per second of `work`, which returns the number of images it processed."""
    begun = time.perf_counter()
    work()
    begun = time.perf_counter()
    while time.perf_counter() - begun < _WARM_UP_PART * seconds:
        work()
    images = calls = 0
    begun = time.perf_counter()
    while calls < _LEAST_CALLS or time.perf_counter() - begun < seconds:
        images += work()
        calls += 1
    return images / (time.perf_counter() - begun)


def amortize_warmup(rate: float, filling_s: float, records: int) -> float:
    """Return the rate of an epoch that first fills the shuffle buffer for `filling_s` seconds."""
    return records / (filling_s + records / rate)


def _take(batches: Iterator[Any]) -> int:
    first = tf.nest.flatten(next(batches))[0]
    return int(first.shape[0])


def _time_input(batches: tf.data.Dataset, records: int, seconds: float) -> float:
    iterator = iter(batches)
    begun = time.perf_counter()
    next(iterator)
    filling_s = time.perf_counter() - begun
    rate = time_calls(partial(_take, iterator), seconds)
    # A timing of more than one epoch already includes the filling of the buffer.
    return rate if rate * seconds > records else amortize_warmup(rate, filling_s, records)


def _time_augmenter(augmenter: keras.Model, images: NDArray[np.uint8], seconds: float) -> float:
    image = keras.Input(images.shape[1:], dtype="uint8")
    # The model returns one number per image: copying images from the device must not be timed.
    model = keras.Model(image, ops.max(augmenter(image, training=True), axis=(1, 2, 3)))
    return time_calls(lambda: len(model.predict_on_batch(images)), seconds)


def _time_steps(stage: PhaseSetup, batches: tf.data.Dataset, seconds: float) -> float:
    """Return the steps per second of Keras fit."""
    clock = _StepClock(stage, seconds)
    calls = keras.callbacks.LambdaCallback(on_train_batch_begin=clock.begin_step)
    stage.model.fit(batches, shuffle=False, verbose=0, callbacks=[calls])
    return clock.steps_per_second


class _StepClock:
    """Times the steps of Keras fit, and stops the fit.

    Devices run asynchronously. The clock waits for the devices only every quarter of a second,
    because waiting after each step would leave them idle.
    """

    def __init__(self, stage: PhaseSetup, seconds: float) -> None:
        self.steps_per_second = 0.0
        self._stage, self._seconds = stage, seconds
        self._first: int | None = None
        self._begun = self._traced = self._waited = 0.0
        self._every = 1

    def begin_step(self, step: int, **_logs: Any) -> None:
        """Read the clock before a step: after it, a callback makes Keras wait for the device."""
        if self._first is not None and (step - self._first) % self._every:
            return
        if step > 0:
            self._wait()
        now = time.perf_counter()
        if step <= 1:
            self._traced = now
        elif self._first is not None:
            self._look(step - self._first, now)
        elif step >= _WARM_UP_STEPS and now - self._traced >= _WARM_UP_PART * self._seconds:
            self._first, self._begun = step, now
            self._every = max(int(_LOOK_SECONDS / (now - self._waited)), 1)
        self._waited = now

    def _look(self, steps: int, now: float) -> None:
        if steps >= _LEAST_CALLS and now - self._begun >= self._seconds:
            self.steps_per_second = steps / (now - self._begun)
            self._stage.model.stop_training = True

    def _wait(self) -> None:
        if keras.backend.backend() == "jax":
            self._stage.model.jax_state_sync()
        # One variable of the loss is enough; computing all metrics takes as long as a small step.
        ops.convert_to_numpy(self._stage.metrics[0].variables[0])


_SAMPLE_BYTES = 64 << 20
_SAMPLE_RECORDS = 4096
_ENDLESS_EPOCHS = 1 << 31


@dataclass(frozen=True)
class _Undecoded:
    """A `RecordSource` whose records remain serialized and are not decoded."""

    read: Callable[[tf.Tensor], tf.data.Dataset]
    mean_bytes: int

    def decode(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the records, strings (batch,), unchanged, and their lengths as labels."""
        return records, tf.strings.length(records)

    def record_bytes(self, _selection: Selection) -> int:
        """See `RecordSource.record_bytes`."""
        return self.mean_bytes


@dataclass(frozen=True)
class StageInputs:
    """The input of each stage.

    Args:
        stages: an endless dataset for each of the stages `read`, `parse`, `decode` and `batch`.
        batch: one batch of decoded images and their labels.
    """

    stages: dict[str, tf.data.Dataset]
    batch: tuple[tf.Tensor, tf.Tensor]


def endless_order(plan: TrainingPlan) -> ShuffleSpec:
    """Return a training order without end, in which all batches have the same size."""
    options = plan.config.options
    whole_batches = max(plan.training.records // options.batch_size, 1)
    return ShuffleSpec(
        options.seed,
        end_epoch=_ENDLESS_EPOCHS,
        epoch_records=whole_batches * options.batch_size,
    )


def profile_inputs(plan: TrainingPlan, source: RecordSource) -> StageInputs:
    """Return the input stages of a training run that reads `source`."""
    batch_size, mean_bytes = plan.config.options.batch_size, source.record_bytes(plan.training)
    shards = _Undecoded(source.read, mean_bytes)
    records = _read_sample(plan, shards)
    kept = _Undecoded(lambda _: tf.data.Dataset.from_tensor_slices(records), mean_bytes)
    size_bytes = len(records) * mean_bytes
    in_memory = ShardInfo("memory", len(records), size_bytes, "", "", FileDigest(0, ""))
    everything = Selection("train", "train", (in_memory,))
    parser = replace(RecordParser.from_dataset(plan.dataset), target=plan.target_column)
    parse = parser.parse
    encoded, labels = parse(records)

    def decode(images: tf.Tensor) -> tf.Tensor:
        return _decode(plan, images)

    return StageInputs(
        {
            "read": interleaved_batches(shards, plan.training, batch_size, endless_order(plan)),
            "parse": _work_on(records, batch_size, parse),
            "decode": _work_on(encoded, batch_size, decode),
            "batch": shuffled_batches(kept, everything, batch_size, endless_order(plan)),
        },
        (decode(encoded[:batch_size]), labels[:batch_size]),
    )


def _read_sample(plan: TrainingPlan, shards: _Undecoded) -> tf.Tensor:
    """Return training records, strings (records,), repeated if there are too few for one batch."""
    batch_size = plan.config.options.batch_size
    count = min(_SAMPLE_BYTES // max(shards.mean_bytes, 1), _SAMPLE_RECORDS, plan.training.records)
    size = max(count // batch_size, 1) * batch_size
    records = ordered_batches(shards, plan.training, batch_size).unbatch().repeat()
    sample: tf.Tensor = next(iter(records.batch(size)))[0]
    return sample


def _work_on(
    elements: tf.Tensor, batch_size: int, work: Callable[[tf.Tensor], object]
) -> tf.data.Dataset:
    # Batches are cached, because each pass would otherwise copy the strings again.
    batches = tf.data.Dataset.from_tensor_slices(elements).batch(batch_size).cache().repeat()
    return parallel_map(batches, work)


def _decode(plan: TrainingPlan, encoded: tf.Tensor) -> tf.Tensor:
    config = plan.config
    crop = config.options.augment.crop
    if crop == 1:
        return decode_images(encoded, config.images, config.shape, config.decoder)
    numbers = tf.range(tf.size(encoded, tf.int64))
    seeds = tf.stack([tf.fill(tf.shape(numbers), tf.constant(0, tf.int64)), numbers], axis=1)
    return decode_crops(encoded, config.images, config.shape, crop, seeds, decoder=config.decoder)
