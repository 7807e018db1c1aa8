"""Incremental conversion: `convert --append`."""
