"""Augmentation: specification, Keras layers, and the same inside tf.data."""
