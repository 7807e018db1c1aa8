"""Export of a dataset to files of other formats, on any runner."""

from pipelines.export_dataset.export import export_dataset
from pipelines.export_dataset.report import ExportReport

__all__ = ["ExportReport", "export_dataset"]
