"""TFDS dataset of class folders, in a separate package, as TFDS requires."""
