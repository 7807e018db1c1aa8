"""Measurements of all images of a dataset, saved next to the index."""

from records.measurements.dataset import DatasetMeasurer
from records.measurements.measurement import Measurement

__all__ = ["DatasetMeasurer", "Measurement"]
