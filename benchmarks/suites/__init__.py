"""The benchmarks, each with its contestants."""
