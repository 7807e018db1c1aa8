"""Augmentation: specification, Keras layers, and stateless functions for tf.data."""
