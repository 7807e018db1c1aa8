"""Epochs of `as_tf_dataset`, or of `open_dataset`: `shardmill_reader.py MODE DATASET EPOCHS CACHE`.

bytes   the records of `open_dataset`, one after another, not decoded
whole   the whole images at 224×224
crops   random crops at 224×224, flipped half of the time
copies  as `whole`, and the shards of a dataset at a URL are copied to the disk
"""

import os
import sys

from epochs import BATCH_SIZE, time_epochs

from records.dataset import open_dataset

_SIDE_PX = 224


def main(mode: str, location: str, epochs: str, cache: str) -> None:
    """Read the split `train`, shuffled unless it is read by `open_dataset`."""
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
