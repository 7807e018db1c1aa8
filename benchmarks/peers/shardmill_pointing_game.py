"""Pointing game of a model: `shardmill_pointing_game.py MODEL SIDE SEEDS OUT [WEIGHTS]`.

With WEIGHTS, only a head is trained. Only rightly predicted test images count, because the map
shows the predicted class.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import shardmill as sm
from benchmarks.harness.seeds import name_figures
from benchmarks.inputs.patterns import PATTERNS, SIDE_PX, Box, draw_pattern
from benchmarks.suites import pointing_game as game

_BATCH = 50


def write_images(folder: Path, images: int, seed: int) -> dict[Path, tuple[str, Box]]:
    """Write images of all classes in turn, and return the class and the square of each."""
    random, written = np.random.default_rng(seed), {}
    for number in range(images):
        name = list(PATTERNS)[number % len(PATTERNS)]
        pixels, box = draw_pattern(name, random)
        path = folder / name / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        written[path] = name, box
    return written


def play(run: Path, tests: dict[Path, tuple[str, Box]]) -> dict[str, float]:
    """Return the figures of a run."""
    predictions = sm.Predictor(run).predict_files(tests, explain=True)
    right, boxes = zip(
        *(
            (found, box)
            for found, (name, box) in zip(predictions, tests.values(), strict=True)
            if found.class_name == name
        ),
        strict=True,
    )
    pixels = np.stack([found.pixels for found in right])
    labels = np.array([found.label for found in right])
    center, everywhere = np.zeros((SIDE_PX, SIDE_PX)), np.ones((SIDE_PX, SIDE_PX))
    center[SIDE_PX // 2, SIDE_PX // 2] = 1
    shown = game.judge([found.activation for found in right], boxes)
    return {
        game.ACCURACY: len(right) / len(tests),
        game.HIRES_CAM: shown.points,
        game.GRAD_CAM: game.judge(draw_grad_cam(run, pixels, labels), boxes).points,
        game.CENTER: game.judge([center] * len(boxes), boxes).points,
        game.INSIDE: shown.inside,
        game.AREA: game.judge([everywhere] * len(boxes), boxes).inside,
    }


def draw_grad_cam(run: Path, pixels: np.ndarray, labels: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the map of each image by Grad-CAM."""
    from grad_cam import GradCam  # imports Keras, which the predictor has configured

    from trainers.models.load import load_model
    from trainers.runs.run_dir import open_run

    explainer = GradCam(load_model(open_run(run)))
    for first in range(0, len(pixels), _BATCH):
        batch = slice(first, first + _BATCH)
        yield from explainer.maps(pixels[batch], labels[batch])


def main(model: str, side: int, seeds: int, out: Path, weights: str | None) -> None:
    """Train with several seeds, and print the figures."""
    write_images(out / "photos", game.TRAINING_IMAGES, seed=0)
    tests = write_images(out / "tests", game.TEST_IMAGES, seed=1)
    sm.convert(out / "photos", out / "data")
    options = {} if weights is None else {"mode": "transfer", "weights": weights}
    figures = {}
    for seed in range(seeds):
        run = out / f"run-{seed}"
        sm.train(
            out / "data",
            run,
            model=model,
            image_size=side,
            epochs=game.EPOCHS,
            seed=seed,
            **options,
        )
        figures |= name_figures(play(run, tests), seed)
    print(json.dumps({"images": len(tests), **figures}))


if __name__ == "__main__":
    model, side, seeds, out, *weights = sys.argv[1:]
    main(model, int(side), int(seeds), Path(out), weights[0] if weights else None)
