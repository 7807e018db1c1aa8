"""Measurement of processes: environments, rounds and samples."""
