"""Training time from shards, compared with a plain Keras loop.

The time of the loop begins when all images are in memory as arrays. The time of the training run
begins with the shards, and includes the validation, the weights, the history and the checkpoint.
Both train `cnn-bn` in batches of 64, with Adam, and with a learning rate that decreases from 2e-3
along a cosine. They run in separate processes, alternately.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

_LOOP = """
import sys, time
from trainers.backend import start_backend
start_backend()
import keras, numpy as np
from records.dataset.dataset import open_dataset
from PIL import Image
import io

def load(split):
    records = list(open_dataset(sys.argv[1])[split])
    images = np.stack([np.asarray(Image.open(io.BytesIO(record.image))) for record in records])
    labels = np.array([record.label for record in records])
    return images.reshape(len(records), 28, 28, -1).astype("float32") / 255, labels

(x, y), (valid_x, valid_y), (test_x, test_y) = map(load, ("train", "validation", "test"))
epochs = int(sys.argv[2])
layers = keras.layers
model = keras.Sequential([
    keras.Input(x.shape[1:]),
    layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
    layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
    layers.Conv2D(32, 5, strides=2, padding="same", activation="relu"),
    layers.BatchNormalization(), layers.Flatten(), layers.Dropout(0.4),
    layers.Dense(128, activation="relu"), layers.Dense(10),
])
rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * -(-len(x) // 64))
model.compile(
    keras.optimizers.Adam(rate),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
began = time.monotonic()
model.fit(x, y, batch_size=64, epochs=epochs, validation_data=(valid_x, valid_y), verbose=0)
seconds = time.monotonic() - began
print(seconds, model.evaluate(test_x, test_y, verbose=0)[1])
"""
_OPTIONS = (
    "--model cnn-bn --batch-size 64 --learning-rate 0.002 --schedule cosine --augment none "
    "--cache memory --quiet"
)


def main(dataset: str, epochs: str = "5", rounds: str = "1") -> None:
    """Measure the loop and the training run on a dataset of small images with three splits."""
    times: dict[str, list[float]] = {"plain loop": [], "shardmill train": []}
    for _ in range(int(rounds)):
        loop = _call(sys.executable, "-c", _LOOP, dataset, epochs).split()
        times["plain loop"].append(float(loop[0]))
        with TemporaryDirectory() as folder:
            run = Path(folder, "run")
            command = [sys.executable, "-m", "shardmill", "train", dataset, str(run), "--json"]
            result = json.loads(_call(*command, *_OPTIONS.split(), "--epochs", epochs))
        times["shardmill train"].append(result["seconds"])
        print(f"plain loop {times['plain loop'][-1]:.1f} s, accuracy on test {float(loop[1]):.2%}")
        print(f"shardmill train {result['seconds']:.1f} s")
    ratio = statistics.median(times["shardmill train"]) / statistics.median(times["plain loop"])
    print(f"shardmill train takes {ratio:.2f} times as long as the plain loop")


def _call(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return ended.stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
