"""Wrong labels that `label-errors` finds.

`shardmill_label_errors.py PHOTOS WEIGHTS OUT SHARE SEEDS`
"""

import json
import sys
from pathlib import Path

import shardmill as sm
from benchmarks.harness.seeds import name_figures
from benchmarks.inputs.photo_features import PhotoFeatures
from benchmarks.inputs.real_photos import BACKBONE, convert_labelled, flip_labels, read_classes
from benchmarks.inputs.wrong_originals import WRONG_ORIGINALS
from benchmarks.suites.label_errors import score


def main(source: Path, weights: str, out: Path, share: float, seeds: int) -> None:
    """Convert the photos with wrong labels, search for them, and print the figures."""
    classes = read_classes(source)
    photos = PhotoFeatures(convert_labelled(source, out / "right", classes), BACKBONE, weights)
    known = WRONG_ORIGINALS.get(source.name)
    figures = {}
    for seed in range(seeds):
        flipped = flip_labels(classes, share, seed)
        dataset = convert_labelled(source, out / f"wrong-{seed}", classes | flipped)
        photos.keep(dataset)
        found = sm.label_errors(dataset, model=BACKBONE, weights=weights)
        figures |= name_figures(score(found.keys(), flipped, known), seed)
    print(json.dumps({"images": len(classes), **figures}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
