"""Text in and out: keys, escaping, formatting."""
