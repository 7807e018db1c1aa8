"""The machine and the bottleneck of a training run."""
