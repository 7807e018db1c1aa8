"""Pictures and datasets to measure with."""
