"""Scores that reject images of no class: `shardmill_rejection.py DATA WEIGHTS OUT CASE SEEDS`.

A head is trained on the features of flowers, without a fifth of them for the test. All scores are
computed from the features and the logits of the same run.
"""

import json
import sys
from pathlib import Path

import numpy as np

import shardmill as sm
from benchmarks.harness.seeds import mean_of, name_figures
from benchmarks.inputs.photo_features import PhotoFeatures
from benchmarks.inputs.real_photos import (
    BACKBONE,
    CATS_AND_DOGS,
    FLOWERS,
    convert_labelled,
    read_classes,
)
from benchmarks.suites import rejection
from records.dataset import open_dataset
from trainers.class_means.file import read_class_means
from trainers.class_means.means import normalize, similarities
from trainers.input.selection import select_for_training
from trainers.models.load import load_network
from trainers.runs.run_dir import open_run

_NEIGHBOURS = 10
_SHRINKAGE = 0.01
"""The share of the mean variance that is added to each variance: more features than images."""


class Comparison:
    """All scores, on the photos of a folder.

    Args:
        data: the folder of the real photos.
        weights: the weights file of the backbone.
        out: the folder of all datasets and runs.
    """

    def __init__(self, data: Path, weights: str, out: Path) -> None:
        self._source, self._weights, self._out = data / FLOWERS, weights, out
        self.classes = read_classes(self._source)
        self._flowers = self._read(self._source, self.classes)
        foreign = read_classes(data / CATS_AND_DOGS)
        self._foreign = self._read(data / CATS_AND_DOGS, foreign).of(foreign)

    def _read(self, source: Path, classes: dict[str, str]) -> PhotoFeatures:
        dataset = convert_labelled(source, self._out / f"all-{source.name}", classes)
        return PhotoFeatures(dataset, BACKBONE, self._weights)

    def measure(self, case: str, seed: int) -> dict[str, float]:
        """Return the figures of one seed."""
        if case == rejection.FOREIGN:
            return self._measure(seed, left_out=None)
        names = sorted(set(self.classes.values()))
        found = [self._measure(seed, left_out=name) for name in names]
        return {name: mean_of(each[name] for each in found) for name in found[0]}

    def _measure(self, seed: int, left_out: str | None) -> dict[str, float]:
        """Train a head, and return the figures of all scores."""
        known = {key: name for key, name in self.classes.items() if name != left_out}
        draws = np.random.default_rng(seed).random(len(known))
        test = [key for key, draw in zip(known, draws, strict=True) if draw < rejection.TEST_SHARE]
        train = {key: name for key, name in known.items() if key not in set(test)}
        others = [key for key in self.classes if key not in known]
        out = self._out / f"{seed}-{left_out}"
        self._flowers.keep(convert_labelled(self._source, out / "data", train))
        sm.train(
            out / "data",
            out / "run",
            model=BACKBONE,
            mode="transfer",
            weights=self._weights,
            epochs=rejection.EPOCHS,
            seed=seed,
        )
        training, validation = self._find_parts(out / "data")
        names = sorted(set(train.values()))
        scores = compute_scores(
            out / "run",
            self._flowers.of(training),
            np.array([names.index(train[key]) for key in training]),
            {
                "known": self._flowers.of(test),
                "others": self._foreign if left_out is None else self._flowers.of(others),
                "validation": self._flowers.of(validation),
            },
        )
        return {
            rejection.figure(score, name): value
            for score, parts in scores.items()
            for name, value in rejection.judge(**parts).items()
        }

    def _find_parts(self, location: Path) -> tuple[list[str], list[str]]:
        """Return the keys of the photos that a run trains on, and of those it validates on."""
        dataset = open_dataset(location)
        parts = []
        for part in select_for_training(dataset, None):
            parts.append([])
            for number, chosen in enumerate(part.shard_masks):
                keys = dataset[part.split].load_index(number).table["key"].to_pylist()
                parts[-1] += [key for key, is_chosen in zip(keys, chosen, strict=True) if is_chosen]
        return parts[0], parts[1]


def compute_scores(
    run: Path, training: np.ndarray, labels: np.ndarray, parts: dict[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """Return each score of the images of each part, from their features.

    Args:
        run: a run that trains a head.
        training: the features of the training images, (images, features).
        labels: their labels, (images,).
        parts: the features of other images, by the name of the part.
    """
    network = load_network(open_run(run))
    kernel, bias = network.model.get_layer("logits").get_weights()
    directions = read_class_means(open_run(run), network).directions
    means = np.stack([training[labels == label].mean(axis=0) for label in np.unique(labels)])
    whitened = _whiten(training - means[labels])
    directions_of_training = normalize(training)
    scores = {name: {} for name in rejection.SCORES}
    for part, features in parts.items():
        logits = (features @ kernel + bias).astype(np.float64)
        energy = np.logaddexp.reduce(logits, axis=1)
        highest = logits.max(axis=1)
        distances = [((features - mean) @ whitened) ** 2 for mean in means]
        cosines = normalize(features) @ directions_of_training.T
        scores[rejection.PROBABILITY][part] = highest - energy
        scores[rejection.LOGIT][part] = highest
        scores[rejection.ENERGY][part] = energy
        scores[rejection.MAHALANOBIS][part] = -np.min([each.sum(axis=1) for each in distances], 0)
        scores[rejection.NEIGHBOURS][part] = np.sort(cosines, axis=1)[:, -_NEIGHBOURS]
        scores[rejection.NEAREST_MEAN][part] = (normalize(features) @ directions.T).max(axis=1)
        predicted = directions[logits.argmax(axis=1)]
        scores[rejection.CLASS_MEANS][part] = similarities(features, predicted)
    return scores


def _whiten(residuals: np.ndarray) -> np.ndarray:
    """Return the matrix that gives residuals (images, features) the same variance everywhere."""
    covariance = np.cov(residuals, rowvar=False)
    covariance += np.eye(len(covariance)) * (_SHRINKAGE * np.trace(covariance) / len(covariance))
    return np.linalg.cholesky(np.linalg.inv(covariance))


def main(data: Path, weights: str, out: Path, case: str, seeds: int) -> None:
    """Compare the scores with several seeds, and print the figures."""
    comparison = Comparison(data, weights, out)
    figures = {}
    for seed in range(seeds):
        figures |= name_figures(comparison.measure(case, seed), seed)
    print(json.dumps({"images": len(comparison.classes), **figures}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
