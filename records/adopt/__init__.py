"""Adoption: third-party TFRecord files become a dataset without being copied."""

from records.adopt.adoption import adopt
from records.adopt.report import AdoptReport

__all__ = ["AdoptReport", "adopt"]
