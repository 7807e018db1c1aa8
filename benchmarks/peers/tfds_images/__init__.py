"""A dataset of class folders; TFDS wants its builders in a package of their own."""
