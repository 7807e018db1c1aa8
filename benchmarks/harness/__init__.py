"""Measurement of processes: environments, rounds, samples."""
