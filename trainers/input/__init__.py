"""Input pipeline from shards to batches of images and labels, with tf.data."""

from trainers.input.dataset import as_tf_dataset

__all__ = ["as_tf_dataset"]
