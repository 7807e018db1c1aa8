"""Division of images into folds with the same share of classes."""
