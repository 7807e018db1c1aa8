"""Conversions of text: keys, escaping and formatting."""
