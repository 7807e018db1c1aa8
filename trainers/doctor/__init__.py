"""Diagnosis of a machine and of the bottleneck of a training run."""
