"""Inputs of the benchmarks: images, datasets, and a training run."""
