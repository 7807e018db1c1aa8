"""Feature stores: the outputs of a frozen backbone, kept on disk."""
