"""Feature stores: the outputs of a frozen backbone, kept on disk."""

MANIFEST = "features.json"
"""The name of the manifest of a feature store; it is written last."""
