from __future__ import annotations

from typing import Any

import pytest

from pipelines.options import ConvertOptions
from records.errors import UsageError
from records.format.image_options import ImageOptions
from records.format.manifest import Settings


def options(**given: Any) -> ConvertOptions:
    return ConvertOptions(source="s", output="t", **given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"test": 0.2},
        {"test": 5, "validation": 0.5},
        {"test": 0.2, "stratify": True},
        {"test": 0.2, "group_by": "parent"},
        {"test": 0.2, "group_by": r"patient(\d+)"},
        {"test": 0.2, "multi_label": True, "stratify": True, "group_by": "parent"},
        {"max_rejects": 0},
        {"max_gone": 0, "append": True},
        {"accept_gone": True, "append": True},
        {"rename_class": ("old=new",), "append": True},
        {"max_rejects": 0.5},
        {"seed": 2**64 - 1},
        {"beam_flags": ("--direct_num_workers", "2")},
    ],
)
def test_convert_options_valid_combination_is_accepted(given: dict[str, Any]) -> None:
    options(**given).validate()


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"test": 0.0}, "--test"),
        ({"test": 1.0}, "--test"),
        ({"test": -0.1}, "--test"),
        ({"test": float("nan")}, "--test"),
        ({"test": 0}, "--test-count"),
        ({"validation": -1}, "--validation-count"),
        ({"test": 0.5, "validation": 0.5}, "leave no images for training"),
        ({"test": 5, "group_by": "parent"}, "--group-by"),
        ({"test": 0.5, "validation": 5, "group_by": "parent"}, "--group-by"),
        ({"test": 0.5, "stratify": True, "group_by": "parent"}, "--group-by"),
        ({"test": 5, "multi_label": True, "stratify": True, "group_by": "parent"}, "--group-by"),
        ({"stratify": True}, "--stratify"),
        ({"test": 0.2, "group_by": "("}, "--group-by"),
        ({"shards": 0}, "--shards"),
        ({"shard_mb": 0}, "--shard-mb"),
        ({"shards": 2, "shard_mb": 2}, "--shard-mb"),
        ({"workers": 0}, "--workers"),
        ({"seed": -1}, "--seed"),
        ({"seed": 2**64}, "--seed"),
        ({"max_rejects": -1}, "--max-rejects"),
        ({"max_rejects": 1.0}, "--max-rejects"),
        ({"max_rejects": float("nan")}, "--max-rejects"),
        ({"classes": ("a",), "labels": "l"}, "--labels"),
        ({"images": ImageOptions(store="raw")}, "--store raw"),
        ({"images": ImageOptions(jpeg_quality=0)}, "--jpeg-quality"),
        ({"beam_flags": ("data",)}, "unexpected argument"),
    ],
)
def test_convert_options_invalid_value_is_refused_by_option_name(
    given: dict[str, Any], word: str
) -> None:
    with pytest.raises(UsageError) as caught:
        options(**given).validate()
    assert word in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("limit", "images", "allowed"),
    [
        (None, 5, 4),  # never all
        (None, 11, 10),  # at least ten
        (None, 1000, 10),
        (None, 5000, 50),  # one in a hundred
        (0, 100, 0),
        (7, 100, 7),
        (200, 100, 99),
        (0.5, 100, 50),
        (0.0, 100, 0),
        (None, 1, 0),
    ],
)
def test_allowed_rejects_limit_and_image_count_give_maximum(
    limit: float | None, images: int, allowed: int
) -> None:
    assert options(max_rejects=limit).allowed_rejects(images) == allowed


def test_settings_hold_only_options_that_affect_output_bytes() -> None:
    other = options(workers=7, max_rejects=3, dry_run=True, runner="X", beam_flags=("--a",))
    assert other.settings() == options().settings() == Settings()
    chosen = {"seed": 3, "test": 0.25, "validation": 7, "group_by": "parent", "shards": 4}
    settings = options(**chosen).settings()
    assert {name: getattr(settings, name) for name in chosen} == chosen
