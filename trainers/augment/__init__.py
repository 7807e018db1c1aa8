"""Augmentation: specification, Keras layers, preview."""
