"""TFDS builders that store unchanged image files."""

from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from class_folders import ImageFile, list_images


class ImagesBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Builder that uses a generator."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, source: Path, **settings: Any) -> None:
        self._images = list_images(source)
        super().__init__(**settings)

    def _info(self) -> tfds.core.DatasetInfo:
        names = sorted({image.text for image in self._images})
        features = {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=names),
            "image/filename": tfds.features.Text(),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, _: Any) -> dict[str, Any]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Any:
        return map(as_example, self._images)


class BeamImagesBuilder(ImagesBuilder, skip_registration=True):
    """Builder that uses Beam."""

    def _generate_examples(self) -> Any:
        import apache_beam as beam

        return beam.Create(self._images) | beam.Map(as_example)


def as_example(image: ImageFile) -> tuple[str, dict[str, Any]]:
    """Return the key and the features; TFDS stores an image unchanged if it is given as a path."""
    features = {"image": str(image.path), "label": image.label, "image/filename": image.key}
    return image.key, features
