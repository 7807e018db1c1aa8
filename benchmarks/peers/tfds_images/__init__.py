"""A dataset of class folders, in a separate package for TFDS."""
