"""Similarity of images to classes, by the features of a network."""
