"""Benchmarks, each with its contestants and cases."""
