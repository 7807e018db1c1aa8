"""Rates made up: the stage that is found, what is advised, how it is drawn."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from trainers.config import ImageShape
from trainers.doctor.diagnose import (
    INPUT_STAGES,
    StageRate,
    TrainingContext,
    advise,
    draw_table,
    find_bottleneck,
    summarize,
)

RATES = {
    "read": 50_000.0,
    "parse": 90_000.0,
    "decode": 1_880.0,
    "batch": 30_000.0,
    "input": 1_850.0,
    "step": 5_300.0,
    "training": 1_800.0,
}
PHOTOS = TrainingContext(
    is_local=True,
    shards=16,
    is_raw=False,
    stored_size=None,
    shape=ImageShape(224, 224),
    is_cropped=False,
    has_gpu=True,
    precision="mixed_bfloat16",
)


@pytest.mark.parametrize("slowest", INPUT_STAGES)
def test_find_bottleneck_slow_input_gives_its_slowest_stage(slowest: str) -> None:
    rates = {**RATES, "decode": 60_000.0, slowest: 1_870.0}
    assert find_bottleneck(rates) == slowest


def test_find_bottleneck_slow_step_gives_step() -> None:
    assert find_bottleneck({**RATES, "step": 63.0}) == "step"


@pytest.mark.parametrize(("augment", "found"), [(120.0, "augment"), (130.0, "step")])
def test_find_bottleneck_augmentation_over_half_of_step_gives_augment(
    augment: float, found: str
) -> None:
    assert find_bottleneck({**RATES, "step": 63.0, "augment": augment}) == found


def test_find_bottleneck_slow_augmentation_with_slower_input_gives_decode() -> None:
    assert find_bottleneck({**RATES, "augment": 5_400.0}) == "decode"


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({}, "store smaller images (convert --resize 224), or use --cache disk"),
        (
            {"shape": ImageShape(180, 240)},
            "store smaller images (convert --resize 240x180), or use --cache disk",
        ),
        (
            {"stored_size": (224, 224)},
            "store raw pixels (convert --resize 224 --store raw), or use --cache disk",
        ),
        (
            {"stored_size": (512, 512), "is_raw": True},
            "store smaller images (convert --resize 224 --store raw), or use --cache disk",
        ),
        (
            {"stored_size": (224, 224), "is_raw": True},
            "use more processor cores: the images need no decoding",
        ),
        (
            {"is_cropped": True},
            "store raw pixels, at a size slightly above 224 (convert --store raw --resize)",
        ),
        (
            {"is_cropped": True, "is_raw": True, "stored_size": (256, 256)},
            "use more processor cores: raw pixels only have to be cropped and resized",
        ),
    ],
)
def test_advise_slow_decode_depends_on_stored_images(
    changes: dict[str, object], advice: str
) -> None:
    assert advise("decode", replace(PHOTOS, **changes)) == advice  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bottleneck", "changes", "advice"),
    [
        ("read", {}, "put the dataset on a faster disk"),
        ("read", {"shards": 2}, "(convert --shards 16)"),
        ("read", {"is_raw": True}, "(convert without --store raw)"),
        ("read", {"is_local": False}, "use --cache shards"),
        ("parse", {}, "use --cache disk"),
        ("parse", {"is_cropped": True}, "a larger --batch-size"),
        ("batch", {}, "a faster processor"),
        ("augment", {}, "use fewer augmentations in --augment"),
        ("augment", {"has_gpu": False}, "or a GPU"),
        ("step", {}, "a larger --batch-size or a smaller model"),
        ("step", {"precision": "float32"}, "--precision mixed_float16"),
        ("step", {"has_gpu": False, "precision": "float32"}, "a GPU, a smaller --image-size"),
    ],
)
def test_advise_each_bottleneck_has_its_advice(
    bottleneck: str, changes: dict[str, object], advice: str
) -> None:
    assert advice in advise(bottleneck, replace(PHOTOS, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("bottleneck", ["read", "decode"])
def test_advise_random_crops_never_suggests_decoded_images(bottleneck: str) -> None:
    for is_local in (True, False):
        cropped = replace(PHOTOS, is_cropped=True, is_local=is_local)
        assert not re.search("--cache (disk|memory)", advise(bottleneck, cropped))


def test_summarize_bottleneck_states_both_rates() -> None:
    assert summarize(RATES, "decode", "do this") == (
        "decoding limits the training rate: the input delivers 1,850 images/s, and the step could "
        "process 5,300; together they reach 1,800; do this"
    )
    slow_step = {**RATES, "step": 63.4, "training": 61.0}
    assert summarize(slow_step, "step", "do that") == (
        "the training step limits the training rate: the step processes 63 images/s, and the "
        "input could deliver 1,850; together they reach 61; do that; the input is not the problem"
    )
    near = {**RATES, "step": 900.0}
    assert "not the problem" not in summarize(near, "step", "do that")


def test_draw_table_slowest_stage_has_longest_bar() -> None:
    rates = [StageRate("read", 50_000), StageRate("decode", 250), StageRate("step", 62.5)]
    assert list(draw_table(rates)) == [
        "stage       images/s     ms/image",
        "read          50,000        0.020",
        "decode           250        4.000  " + "#" * 10,
        "step              62       16.000  " + "#" * 40,
    ]
