"""Wrong labels that cleanlab finds: `cleanlab_label_errors.py PHOTOS WEIGHTS OUT SHARE SEEDS`.

The probabilities are those of logistic regression on standardized features, with the default
settings of scikit-learn, as in the tutorials of cleanlab.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from cleanlab.filter import find_label_issues
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.harness.seeds import name_figures
from benchmarks.inputs.photo_features import PhotoFeatures
from benchmarks.inputs.real_photos import BACKBONE, convert_labelled, flip_labels, read_classes
from benchmarks.inputs.wrong_originals import WRONG_ORIGINALS
from benchmarks.suites.label_errors import score


def main(source: Path, weights: str, out: Path, share: float, seeds: int) -> None:
    """Search for wrong labels with several seeds, and print the figures."""
    classes = read_classes(source)
    photos = PhotoFeatures(convert_labelled(source, out / "right", classes), BACKBONE, weights)
    features = photos.of(classes)
    known = WRONG_ORIGINALS.get(source.name)
    figures = {}
    for seed in range(seeds):
        flipped = flip_labels(classes, share, seed)
        given = [flipped.get(key, name) for key, name in classes.items()]
        _, labels = np.unique(given, return_inverse=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 100 iterations, the default, do not reach the optimum
            probabilities = cross_val_predict(
                make_pipeline(StandardScaler(), LogisticRegression()),
                features,
                labels,
                cv=5,
                method="predict_proba",
            )
        found = find_label_issues(
            labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
        )
        ranked = [list(classes)[number] for number in found]
        figures |= name_figures(score(ranked, flipped, known), seed)
    print(json.dumps({"images": len(classes), **figures}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
