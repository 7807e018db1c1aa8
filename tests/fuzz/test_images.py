"""Mutated JPEG and PNG files: what is stored has the same pixels in TensorFlow."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.image_mutations import image_seeds, mutate_image
from tests.fuzz.images import check_image


def check_mutations(seed: int, files: int) -> None:
    chance, seeds = random.Random(seed), image_seeds()
    stored = 0
    for number in range(files):
        data = mutate_image(chance.choice(seeds), chance)
        try:
            stored += check_image(data)
        except Exception as error:
            error.add_note(f"file {number} of seed {seed}: {data.hex()}")
            raise
    assert stored > files // 10


def test_image_seeds_are_stored_and_decoded_by_tensorflow() -> None:
    assert all(map(check_image, image_seeds()))


def test_normalize_image_400_mutations_are_rejected_or_decoded_by_tensorflow() -> None:
    check_mutations(0, 400)


@pytest.mark.slow
def test_normalize_image_20000_mutations_are_rejected_or_decoded_by_tensorflow() -> None:
    check_mutations(1, 20_000)
