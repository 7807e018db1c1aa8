"""Epochs of NVIDIA DALI on CPUs: `dali_reader.py MODE SOURCE EPOCHS CACHE`."""

import sys
from collections.abc import Iterator

from epochs import BATCH_SIZE, WORKERS, time_epochs
from nvidia.dali import fn, pipeline_def, types

_SIDE_PX = 224
_READER = "files"
_BUFFER_RECORDS = 1024


@pipeline_def(batch_size=BATCH_SIZE, num_threads=WORKERS, device_id=None, prefetch_queue_depth=2)
def read_folders(mode: str, source: str) -> tuple[object, object]:
    """Read the class folders, shuffled with a buffer."""
    encoded, labels = fn.readers.file(
        file_root=source, random_shuffle=True, initial_fill=_BUFFER_RECORDS, name=_READER
    )
    if mode == "crops":
        images = fn.decoders.image_random_crop(
            encoded,
            device="cpu",
            output_type=types.RGB,
            random_area=[0.08, 1.0],
            random_aspect_ratio=[3 / 4, 4 / 3],
        )
    else:
        images = fn.decoders.image(encoded, device="cpu", output_type=types.RGB)
    images = fn.resize(images, resize_x=_SIDE_PX, resize_y=_SIDE_PX, antialias=False)
    if mode == "crops":
        images = fn.flip(images, horizontal=fn.random.coin_flip())
    return images, labels


def main(mode: str, source: str, epochs: str, _cache: str) -> None:
    """Run the pipeline once per batch; do not count the images that fill up the last batch."""
    pipeline = read_folders(mode, source)
    pipeline.build()
    records = pipeline.epoch_size(_READER)

    def epoch() -> Iterator[int]:
        for first in range(0, records, BATCH_SIZE):
            images, _ = pipeline.run()
            yield min(len(images.as_array()), records - first)

    time_epochs(int(epochs), epoch)


if __name__ == "__main__":
    main(*sys.argv[1:])
