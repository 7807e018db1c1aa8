"""Published helpers for tests of plug-ins."""
