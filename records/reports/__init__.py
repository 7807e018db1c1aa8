"""Findings and figures of datasets and TFRecord files: they are yielded, never printed."""
