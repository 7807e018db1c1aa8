"""The words of augmentation: what they mean, what is refused, and there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.errors import UsageError
from trainers.augment.spec import format_augmentation, parse_augmentation
from trainers.options import Augmentation

PARTS = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flip", Augmentation(flip="horizontal")),
        ("flip=both", Augmentation(flip="both")),
        ("crop", Augmentation(crop=0.08)),
        ("crop=0.35", Augmentation(crop=0.35)),
        ("none", Augmentation()),
        ("rotate=0", Augmentation()),
        (" flip = vertical , rotate = 1e1 ", Augmentation(flip="vertical", rotate_degrees=10)),
        (
            "flip,rotate=45,shift=0.15,zoom=0.5,contrast=0.2,brightness=0.1,crop",
            Augmentation("horizontal", 45, 0.15, 0.5, 0.2, 0.1, 0.08),
        ),
        (
            "erase,randaugment,trivialaugment,mixup,cutmix,hue=0.1,saturation=0.4",
            Augmentation(
                saturation=0.4,
                hue=0.1,
                erase=0.25,
                randaugment=9,
                trivialaugment=1,
                mixup=0.2,
                cutmix=1,
            ),
        ),
    ],
)
def test_parse_augmentation_valid_text_gives_options(text: str, expected: Augmentation) -> None:
    assert parse_augmentation(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "flop",
            "one or more of flip, rotate, shift, zoom, contrast, brightness, crop, saturation,",
        ),
        ("flop", "--augment: unknown word 'flop'"),
        ("flop", "; or only none; did you mean flip?"),
        ("Zoom=0.1", "did you mean zoom?"),
        ("flip,", "--augment: empty word"),
        ("", "--augment: empty word"),
        ("flip,none", "--augment: unknown word 'none'"),
        ("flip,crop,flip=both", "--augment: flip is repeated"),
        (
            "rotate",
            "rotate needs a value, expected rotate=NUMBER with 0 <= NUMBER <= 180 degrees",
        ),
        ("flip=", "--augment: flip needs a value, expected flip=horizontal or vertical or both"),
        ("flip=horizntal", "got 'horizntal'; did you mean flip=horizontal?"),
        (
            "flip,rotate=-1",
            "invalid value for rotate, expected rotate=NUMBER with 0 <= NUMBER <= 180 degrees",
        ),
        ("rotate=-1", "degrees, got '-1'"),
        ("zoom=1", "expected zoom=NUMBER with 0 <= NUMBER < 1, got '1'"),
        ("crop=0", "expected crop=NUMBER with 0 < NUMBER <= 1, got '0'"),
        ("shift=nan", "got 'nan'"),
        ("randaugment=31", "expected randaugment=NUMBER with 0 <= NUMBER <= 30, got '31'"),
        ("hue", "hue needs a value, expected hue=NUMBER with 0 <= NUMBER <= 1"),
        ("mix", "did you mean mixup?"),
        ("brightness=inf", "got 'inf'"),
        ("contrast=much", "expected contrast=NUMBER with 0 <= NUMBER < 1, got 'much'"),
    ],
)
def test_parse_augmentation_invalid_text_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_augmentation(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@given(
    st.builds(
        Augmentation,
        flip=st.sampled_from(["none", "horizontal", "vertical", "both"]),
        rotate_degrees=st.floats(0, 180),
        shift=PARTS,
        zoom=PARTS,
        contrast=PARTS,
        brightness=st.floats(0, 1),
        crop=st.floats(0, 1, exclude_min=True),
        saturation=PARTS,
        hue=st.floats(0, 1),
        erase=st.floats(0, 1),
        randaugment=st.floats(0, 30),
        trivialaugment=st.floats(0, 1),
        mixup=st.floats(0, 1),
        cutmix=st.floats(0, 1),
    )
)
def test_format_augmentation_output_parses_to_same_options(augmentation: Augmentation) -> None:
    assert parse_augmentation(format_augmentation(augmentation)) == augmentation


def test_format_augmentation_whole_numbers_have_no_decimal_point() -> None:
    assert format_augmentation(Augmentation()) == "none"
    text = "flip=horizontal,rotate=45,crop=0.08"
    assert format_augmentation(parse_augmentation("crop,rotate=45.0,flip")) == text
