"""What a dataset or a TFRecord file holds."""
