"""A dataset of TFRecord files that others wrote: what a dataset has beside its shards, for them."""
