"""Commands of this package, one file per command."""
