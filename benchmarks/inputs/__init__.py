"""Inputs of the benchmarks: images and datasets."""
