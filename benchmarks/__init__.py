"""Benchmarks of shardmill and its peers; tests measure no times."""
