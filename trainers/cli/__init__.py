"""The commands of this package, one module per command."""
