"""Mutated image files: what is stored has the same pixels in TensorFlow."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.image_mutations import mutate_image
from tests.fuzz.image_seeds import image_seeds, other_image_seeds
from tests.fuzz.images import check_image


def check_mutations(seed: int, files: int, seeds: list[bytes]) -> None:
    chance = random.Random(seed)
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
    assert all(map(check_image, [*image_seeds(), *other_image_seeds()]))


def test_normalize_image_400_mutations_are_rejected_or_decoded_by_tensorflow() -> None:
    check_mutations(0, 400, image_seeds())


def test_normalize_image_200_mutations_of_other_formats_are_rejected_or_encoded_again() -> None:
    check_mutations(0, 200, other_image_seeds())


@pytest.mark.slow
def test_normalize_image_20000_mutations_are_rejected_or_decoded_by_tensorflow() -> None:
    check_mutations(1, 20_000, image_seeds() + other_image_seeds())
