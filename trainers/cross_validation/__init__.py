"""Cross-validation: a run for each fold of a dataset, and their measurement."""
