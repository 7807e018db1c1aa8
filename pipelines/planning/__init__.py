"""The plan of a conversion, made before the first shard is written."""
