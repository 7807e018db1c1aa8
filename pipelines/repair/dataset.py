"""A dataset to repair, and the source of its images."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from pipelines.planning.plan import Plan
from pipelines.repair.damage import Damage
from pipelines.repair.listed import ListedFiles
from pipelines.repair.source import SourceImages
from records.format.label_map import LabelMap
from records.storage import StagedFile, Storage

Overwrite = Callable[[str], AbstractContextManager[StagedFile]]
"""A function that opens a file to replace; in a dry run, it writes nothing."""


class DatasetToRepair(NamedTuple):
    """A dataset with damaged files.

    Attributes:
        storage: its storage.
        listed: the files that it must have.
        damage: the damaged ones.
        source: the images of its source.
        overwrite: the function that replaces a file.
        plans: the plans that the source has given again, by generation and label map.
    """

    storage: Storage
    listed: ListedFiles
    damage: Damage
    source: SourceImages
    overwrite: Overwrite
    plans: dict[tuple[int, LabelMap], Plan]
