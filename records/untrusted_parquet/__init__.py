"""Parquet files from strangers, read within a memory bound."""
