"""Measurements, as ratios within one run; no test measures time."""
