"""The benchmarks: what is measured against which peers."""
