"""Whether a dataset still is what was written."""
