"""The run folder: its files, creation, resume, history."""
