"""Commands that read a dataset or a TFRecord file."""
