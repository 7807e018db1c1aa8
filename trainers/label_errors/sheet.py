"""Picture of the images whose labels are probably wrong."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from records.pictures.thumbnails import make_thumbnail
from records.stats import read_record
from trainers.plots.image_grid import Tile, draw_tiles
from trainers.plots.style import render_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from records.dataset import Dataset
    from trainers.label_errors.result import LabelErrors

_MOST_IMAGES = 100


@render_png
def draw_label_errors(dataset: Dataset, found: LabelErrors) -> Figure:
    """Draw the first 100 candidates, at least one, each with its class and the suggested class.

    Raises:
        CorruptDataError: an index or a record is damaged.
    """
    tiles = []
    for each in islice(found.candidates, _MOST_IMAGES):
        image = make_thumbnail(read_record(dataset, each.split, each.row))
        title = f"{each.suggested_score:.0%} {each.suggested}", f"labelled {each.class_name}"
        tiles.append(Tile(np.asarray(image.convert("RGB")), title, (each.split, each.key)))
    return draw_tiles(tiles)
