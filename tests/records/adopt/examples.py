"""TFRecord files as others write them, by TensorFlow's own writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.datasets import encode_picture

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("daisy", "rose", "tulip")
Features = dict[str, list[Any]]


def write_examples(path: Path, examples: list[Features], *, compression: str = "") -> Path:
    """Examples into a file, as TensorFlow writes them."""
    import tensorflow as tf

    def feature(values: list[Any]) -> tf.train.Feature:
        if values and isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if values and isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), options=compression) as writer:
        for example in examples:
            features = {name: feature(values) for name, values in example.items()}
            message = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(message.SerializeToString())
    return path


def slim_example(number: int, *, first_label: int = 0) -> Features:
    """As TF-Slim's `image_to_tfexample`: no key, and in the file of flowers no text either."""
    kind = ("PNG", "JPEG")[number % 2]
    return {
        "image/encoded": [encode_picture(number, kind=kind)],
        "image/format": [kind.lower().encode()],
        "image/class/label": [number % 3 + first_label],
        "image/height": [9],
        "image/width": [12],
    }


def tfds_example(number: int) -> Features:
    """As TensorFlow Datasets stores an image and its label."""
    return {"image": [encode_picture(number)], "label": [number % 3]}


def named_example(number: int, *, first_label: int = 1) -> Features:
    """As TF-Slim's ImageNet: labels from 1, class names, and a file name each."""
    name = NAMES[number % 3]
    return {
        **slim_example(number, first_label=first_label),
        "image/class/text": [name.encode()],
        "image/filename": [f"{name}/{number}.jpg".encode()],
    }


def detection_example(number: int) -> Features:
    """As the Object Detection API: lists of boxes and of their labels."""
    return {
        "image/encoded": [encode_picture(number)],
        "image/format": [b"png"],
        "image/source_id": [str(number).encode()],
        "image/object/bbox/xmin": [0.1, 0.2],
        "image/object/class/label": [1, 2],
        "image/object/class/text": [b"rose", b"daisy"],
    }
