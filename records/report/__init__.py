"""Report of a dataset: one self-contained HTML page."""

from records.report.dataset import dataset_sections
from records.report.findings import add_findings
from records.report.images import ImageSet
from records.report.page import Report, render_page

__all__ = ["ImageSet", "Report", "add_findings", "dataset_sections", "render_page"]
