"""What tf.data does side by side: as much as there are cores, and no more tuned than that.

Where `tf.data.AUTOTUNE` is used, a thread of each iterator looks for better numbers after 10 ms,
then after 20, 40, 80. Who ends the iterator wakes that thread before it sets what the thread would
see, so that it often sleeps on, and the end waits for it: nearly as long again as the iterator
lived. Half of all epochs of 1.6 s took 2.6 (TensorFlow 2.21; Keras's own datasets as well).
Fixed numbers are as fast on few cores, and faster where nothing has to be decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from records.runtime.cpu import available_cpus
from trainers.input.shuffle import no_autograph

CORES = available_cpus()
PREFETCH_BATCHES = 2


def parallel_map(batches: tf.data.Dataset, work: Callable[..., Any]) -> tf.data.Dataset:
    """Each batch's `work`, on all cores, in the order of the batches, ahead of who takes them."""
    calls = CORES + 1  # one that is done may have to wait until those before it are
    return prefetch(batches.map(no_autograph(work), calls, deterministic=True))


def prefetch(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The batches, the next ones made while one is used; the last step of an input."""
    return without_autotune(batches.prefetch(PREFETCH_BATCHES))


def without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """A dataset whose numbers of calls and of batches ahead stay as they are."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
