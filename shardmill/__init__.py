"""Labelled images become verified TFRecord shards, and models train from them."""
