"""Predictions of photos in one process: `shardmill_predictor.py RUN SOURCE`."""

import sys
import time
from pathlib import Path

from class_folders import list_images, report

from trainers.prediction import Predictor

_WARM_UP = 64


def main(run: str, source: str) -> None:
    """Predict all photos; report the time without that of the start."""
    predictor = Predictor(run)
    paths = [image.path for image in list_images(Path(source))]
    list(predictor.predict_files(paths[:_WARM_UP]))
    started = time.perf_counter()
    images = sum(prediction.rejection is None for prediction in predictor.predict_files(paths))
    report(images, started)


if __name__ == "__main__":
    main(*sys.argv[1:])
