"""Pictures of a dataset: fonts, canvas, thumbnails, contact sheet."""
