"""Parallelism of tf.data: a fixed number of parallel calls, without autotuning.

With `tf.data.AUTOTUNE`, each iterator has a thread that searches for a better parallelism after
10 ms, then after 20, 40 and 80 ms, and so on. When the iterator ends, it wakes this thread before
it sets the stop flag, so that the thread often sleeps again. The iterator then waits for the
thread, nearly as long as the iterator has existed. In TensorFlow 2.21, half of the epochs took
2.6 s instead of 1.6 s; datasets that Keras creates have the same problem. On few cores, a fixed
parallelism is as fast as autotuning; if no images are decoded, it is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import tensorflow as tf

from records.runtime.cpu import available_cpus
from records.runtime.malloc import reuse_large_blocks
from trainers.input.shuffle import no_autograph

CORES = available_cpus()
PREFETCH_BATCHES = 2


def parallel_map(batches: tf.data.Dataset, work: Callable[..., Any]) -> tf.data.Dataset:
    """Return a dataset that applies `work` to each batch on all cores, in order, and prefetches.

    Malloc reuses the memory of the batches from now on, in the whole process.
    """
    _create_generator()
    reuse_large_blocks(arenas=CORES)
    calls = CORES + 1  # a finished call may have to wait for earlier calls
    return prefetch(batches.map(no_autograph(work), calls, deterministic=True))


@cache
def _create_generator() -> None:
    """Create the first generator of the process.

    With Python 3.11 and later, TensorFlow then makes malloc return blocks of 128 kB or more, which
    must not happen after `reuse_large_blocks`: a raw image would take 110 page faults.
    """
    spec = tf.TensorSpec((), tf.int64)
    for _ in tf.data.Dataset.from_generator(tuple, output_signature=spec):
        pass


def prefetch(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Return a dataset that prefetches the batches; the last step of every input pipeline."""
    return without_autotune(batches.prefetch(PREFETCH_BATCHES))


def without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return the dataset without autotuning, with fixed parallelism and prefetching."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
