"""Adoption of third-party TFRecord files as a dataset, without copying them."""

from records.adopt.adoption import adopt
from records.adopt.report import AdoptReport

__all__ = ["AdoptReport", "adopt"]
