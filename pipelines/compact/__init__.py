"""Compaction of all generations of a dataset into one generation.

Records are copied without decoding; adopted records get the features of converted records. If the
same versions of the image libraries wrote all generations, the shards are identical to those of a
single conversion of all images.
"""

from pipelines.compact.compaction import compact

__all__ = ["compact"]
