"""Measurements, as ratios within one run; no test times anything."""
