"""Verification of a dataset or a TFRecord file."""

from records.verification.dataset import check_files, verify
from records.verification.report import VerifyReport, VerifyTotals

__all__ = ["VerifyReport", "VerifyTotals", "check_files", "verify"]
