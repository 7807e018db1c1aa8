"""Examples of stored images: the bytes that protobuf writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from records.format import schema
from records.format.columns import Column, encode_columns
from records.format.example import encode_example
from records.images.features import encode_image_example
from records.images.normalize import NormalizedImage

# The lengths at which the size of a varint grows, with the bytes around the image.
_SIZES = st.sampled_from(
    [at + near for at in (0, 1 << 7, 1 << 14, 1 << 21) for near in range(-40, 41) if at + near >= 0]
)


@given(
    size=st.one_of(st.integers(0, 300), _SIZES),
    key=st.one_of(st.binary(max_size=300), _SIZES.map(bytes)),
    labels=st.lists(st.integers(0, (1 << 31) - 1), max_size=3).map(tuple),
    class_name=st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    columns=st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=3),
    image_format=st.sampled_from(["jpeg", "png", "raw"]),
    shape=st.tuples(st.integers(1, 1 << 20), st.integers(1, 1 << 20), st.sampled_from([1, 3])),
)
def test_encode_image_example_equals_protobuf(
    *,
    size: int,
    key: bytes,
    labels: tuple[int, ...],
    class_name: str,
    columns: list[int],
    image_format: str,
    shape: tuple[int, int, int],
) -> None:
    height, width, channels = shape
    encoded = b"i" * size
    image = NormalizedImage(encoded, image_format, width, height, channels, ())  # type: ignore[arg-type]
    names = (class_name,) * len(labels)
    kept = [Column(f"c{number}", "int64") for number in range(len(columns))]
    example = encode_image_example(
        image,
        key=key,
        labels=labels,
        class_names=names,
        columns=encode_columns(kept, columns) if kept else b"",
    )
    assert example.payload.startswith(encoded, example.image_offset)
    assert example.payload == encode_example(
        {
            schema.ENCODED: [encoded],
            schema.FORMAT: [image_format.encode()],
            schema.HEIGHT: [height],
            schema.WIDTH: [width],
            schema.CHANNELS: [channels],
            schema.LABEL: labels,
            schema.TEXT: [name.encode() for name in names],
            schema.FILENAME: [key],
            **{column.feature: [value] for column, value in zip(kept, columns, strict=True)},
        }
    )
