"""Recovery of the intact records of a damaged TFRecord file."""

from records.salvage.copy import salvage
from records.salvage.report import LostRange, SalvageReport

__all__ = ["LostRange", "SalvageReport", "salvage"]
