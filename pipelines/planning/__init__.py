"""The plan of a conversion: everything decided before the first shard is written."""
