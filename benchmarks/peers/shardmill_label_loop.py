"""The loop of wrong labels: `shardmill_label_loop.py PHOTOS WEIGHTS OUT SHARE SEEDS`.

About 30 % of the photos are for the test, and keep their labels. A head is trained on the features
of the other photos:

before      with the flipped labels
automatic   after `relabel` with all suggestions of `label-errors`
looked      after the flipped labels among the candidates got their right class, as if a person
            had looked at each candidate
clean       without flipped labels
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

import shardmill as sm
from benchmarks.harness.seeds import name_figures
from benchmarks.inputs.photo_features import PhotoFeatures
from benchmarks.inputs.real_photos import BACKBONE, convert_labelled, flip_labels, read_classes
from benchmarks.suites import label_loop as loop
from records.dataset import open_dataset
from trainers.models.load import load_model
from trainers.runs.run_dir import open_run


class Loop:
    """The loop on the photos of a folder.

    Args:
        source: the folder of the photos.
        weights: the weights file of the backbone.
        out: the folder of all datasets and runs.
    """

    def __init__(self, source: Path, weights: str, out: Path) -> None:
        self._source, self._weights, self._out = source, weights, out
        self.classes = read_classes(source)
        everything = convert_labelled(source, out / "all", self.classes)
        self._photos = PhotoFeatures(everything, BACKBONE, weights)

    def measure(self, share: float, seed: int) -> dict[str, float]:
        """Return the figures of one seed."""
        out = self._out / str(seed)
        draws = np.random.default_rng(seed).random(len(self.classes))
        tested = dict(zip(self.classes, draws < loop.TEST_SHARE, strict=True))
        train = {key: name for key, name in self.classes.items() if not tested[key]}
        test = {key: name for key, name in self.classes.items() if tested[key]}
        flipped = flip_labels(train, share, seed)

        convert_labelled(self._source, out / "clean", train)
        self._photos.keep(convert_labelled(self._source, out / "before", train | flipped))
        found = sm.label_errors(out / "before", model=BACKBONE, weights=self._weights)
        suggested = found.corrections()
        looked_at = {key: train[key] for key in suggested if key in flipped}
        for name, corrections in (("automatic", suggested), ("looked", looked_at)):
            shutil.copytree(out / "before", out / name)
            sm.relabel(out / name, corrections)
        after = train | flipped | suggested
        return {
            loop.FLIPPED: len(flipped),
            loop.CANDIDATES: len(suggested),
            loop.FOUND: len(looked_at),
            loop.LEFT: sum(after[key] != name for key, name in train.items()),
            loop.BEFORE: self._train(out / "before", test, seed),
            loop.AUTOMATIC: self._train(out / "automatic", test, seed),
            loop.LOOKED: self._train(out / "looked", test, seed),
            loop.CLEAN: self._train(out / "clean", test, seed),
        }

    def _train(self, location: Path, test: dict[str, str], seed: int) -> float:
        """Train a head on a dataset, and return its accuracy on the test photos."""
        dataset = open_dataset(location)
        self._photos.keep(dataset)
        run = location.with_name(f"{location.name}-run")
        sm.train(
            location,
            run,
            model=BACKBONE,
            mode="transfer",
            weights=self._weights,
            epochs=loop.EPOCHS,
            seed=seed,
        )
        # The logits of `evaluate`, without computing the features again.
        kernel, bias = load_model(open_run(run)).get_layer("logits").get_weights()
        predicted = (self._photos.of(test) @ kernel + bias).argmax(axis=1)
        names = [dataset.labels[label] for label in predicted]
        return float(np.mean(np.array(names) == list(test.values())))


def main(source: Path, weights: str, out: Path, share: float, seeds: int) -> None:
    """Run the loop with several seeds, and print the figures."""
    run = Loop(source, weights, out)
    figures = {}
    for seed in range(seeds):
        figures |= name_figures(run.measure(share, seed), seed)
    print(json.dumps({"images": len(run.classes), **figures}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
