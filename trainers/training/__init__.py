"""A training run, from its plan to its result."""
