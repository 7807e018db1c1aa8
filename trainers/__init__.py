"""Using a dataset: input, models, training, evaluation and prediction, on Keras 3."""
