"""Parallelism of tf.data: one call per core, without autotuning.

With `tf.data.AUTOTUNE`, a thread of each iterator searches for better numbers after 10 ms, then
after 20, 40 and 80 ms. When the iterator ends, it wakes this thread before it sets the stop flag,
so that the thread often sleeps again. The iterator waits for the thread, nearly as long as the
iterator has existed. In TensorFlow 2.21, half of all epochs of 1.6 s took 2.6 s, with Keras
datasets too. Fixed numbers are as fast on few cores, and faster if no images are decoded.
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
    """Return the results of `work` on all cores, in the order of the batches, prefetched."""
    calls = CORES + 1  # a finished call may have to wait for earlier calls
    return prefetch(batches.map(no_autograph(work), calls, deterministic=True))


def prefetch(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Return the batches, prefetched; the last step of an input."""
    return without_autotune(batches.prefetch(PREFETCH_BATCHES))


def without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return a dataset with fixed parallelism and prefetching."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
