"""From shards to batches, by tf.data."""
