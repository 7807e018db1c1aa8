"""Options with which `convert` reads an export again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.extract import needs_label_map
from records.exchange.fields import field_names
from records.format.layout import LABELS, SplitName

if TYPE_CHECKING:
    from records.dataset import Dataset

_USUAL_NAMES = ("class_name", "class_names")


def options_to_convert(
    dataset: Dataset, format_name: str, split: SplitName | None, output: str
) -> list[str]:
    """Return the options with which `convert` reads the same classes, labels and columns.

    Args:
        dataset: the exported dataset.
        format_name: the format of the export.
        split: the exported split; None for all splits.
        output: the path or URL of the export.
    """
    options = []
    if dataset.is_multi_label:
        options.append("--multi-label")
    class_name = field_names(dataset.manifest).class_name
    is_field = format_name in {"webdataset", "mds"} and class_name not in _USUAL_NAMES
    if is_field or (format_name == "webdataset" and dataset.is_multi_label):
        options += ["--label-column", class_name]
    if dataset.columns:
        options += ["--keep-columns", ",".join(column.name for column in dataset.columns)]
    splits = dataset.values() if split is None else [dataset[split]]
    if needs_label_map(dataset, splits):
        options += ["--labels", f"{output.rstrip('/')}/{LABELS}"]
    return options
