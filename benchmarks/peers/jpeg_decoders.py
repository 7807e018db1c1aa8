"""Decoding and resizing of photos on one thread: `jpeg_decoders.py PIECE FOLDER`.

The photos are in memory. The bilinear resize to 224×224 has no antialiasing.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

from class_folders import list_images, report
from pixels import decode, read_whole

BATCH_SIZE = 32
_SIZE_PX = (224, 224)


def main(piece: str, folder: Path) -> None:
    """Process every photo once after a batch of warm-up."""
    photos = [image.path.read_bytes() for image in list_images(folder)]
    batches = [photos[start : start + BATCH_SIZE] for start in range(0, len(photos), BATCH_SIZE)]
    work = PIECES[piece]()
    work(batches[0])
    started = time.perf_counter()
    for batch in batches:
        work(batch)
    report(len(photos), started)


def tensorflow_decode() -> Callable[[Sequence[bytes]], Any]:
    """Return a function that decodes a batch as shardmill does, with the accurate inverse DCT."""
    import tensorflow as tf

    shape = tf.TensorSpec((3,), tf.int32)
    return _map_photos(tf.shape, shape)


def tensorflow_resize() -> Callable[[Sequence[bytes]], Any]:
    """Return a function that decodes a batch, and resizes and rounds it to uint8."""
    import tensorflow as tf

    def resize(pixels: Any) -> Any:
        return tf.cast(tf.round(tf.image.resize(pixels, _SIZE_PX)), tf.uint8)

    return _map_photos(resize, tf.TensorSpec((*_SIZE_PX, 3), tf.uint8))


def _map_photos(work: Callable[[Any], Any], result: Any) -> Callable[[Sequence[bytes]], Any]:
    import tensorflow as tf

    def decode_photo(photo: Any) -> Any:
        return work(tf.io.decode_jpeg(photo, channels=3, dct_method="INTEGER_ACCURATE"))

    text = tf.TensorSpec((None,), tf.string)
    mapped = tf.function(
        lambda photos: tf.map_fn(decode_photo, photos, fn_output_signature=result), [text]
    )
    return lambda batch: mapped(tf.constant(batch))


def each(work: Callable[[bytes], Any]) -> Callable[[Sequence[bytes]], Any]:
    """Return a function that processes the photos of a batch one after another."""
    return lambda batch: [work(photo) for photo in batch]


PIECES: dict[str, Callable[[], Callable[[Sequence[bytes]], Any]]] = {
    "tensorflow-decode": tensorflow_decode,
    "tensorflow-resize": tensorflow_resize,
    "simplejpeg-decode": lambda: each(decode),
    "simplejpeg-opencv": lambda: each(read_whole),
}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
