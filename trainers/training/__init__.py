"""Training of a model, from a plan to a result."""
