"""Published test helpers for authors of plug-ins."""
