"""Epochs of the training input from shards: `shardmill_reader.py MODE DATASET EPOCHS CACHE`.

bytes   records of `open_dataset`, one after another, not decoded
whole   batches of `as_tf_dataset`: whole images, resized to 224×224
crops   batches of `as_tf_dataset`: random crops, resized to 224×224; half of them are flipped
copies  like `whole`, with copies of the shards on the local disk
"""

import os
import sys

from epochs import BATCH_SIZE, time_epochs

from records.dataset import open_dataset

_SIDE_PX = 224


def main(mode: str, location: str, epochs: str, cache: str) -> None:
    """Read the split `train`; `as_tf_dataset` shuffles the records, and `open_dataset` does not."""
    os.environ["XDG_CACHE_HOME"] = cache  # of `cache="shards"`
    records = open_dataset(location)["train"]
    if mode == "bytes":
        time_epochs(int(epochs), lambda: (len(record.image) > 0 for record in records))
        return
    from trainers.input.dataset import as_tf_dataset

    batches = as_tf_dataset(
        location,
        image_size=_SIDE_PX,
        batch_size=BATCH_SIZE,
        shuffle=True,
        augment="flip,crop" if mode == "crops" else None,
        cache="shards" if mode == "copies" else False,
    )
    time_epochs(
        int(epochs),
        lambda: (len(labels) for _, labels in batches),
        stored_bytes=sum(shard.bytes for shard in records.info.shards),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
