"""The commands that read a dataset or a TFRecord file, a file each."""
