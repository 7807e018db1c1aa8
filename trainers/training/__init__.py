"""Training of a model, from the plan of a run to its result."""
