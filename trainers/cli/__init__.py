"""The commands of this package, a module each: options in, text out."""
