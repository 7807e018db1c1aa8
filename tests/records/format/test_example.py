"""Examples: golden bytes, round trips, TensorFlow's own messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records.errors import CorruptDataError
from records.format.example import (
    FeatureValue,
    decode_example,
    decode_sequence_example,
    encode_example,
)

names = st.text(max_size=12)
floats = st.floats(width=32, allow_nan=False)
ints = st.integers(-(1 << 63), (1 << 63) - 1)
values = st.one_of(
    st.lists(st.binary(max_size=30), max_size=4),
    st.lists(ints, max_size=4),
    st.lists(floats, max_size=4),
)
features = st.dictionaries(names, values, max_size=6)


def to_tensorflow(given_features: dict[str, FeatureValue]) -> bytes:
    import tensorflow as tf

    example = tf.train.Example()
    for name, value in given_features.items():
        feature = example.features.feature[name]
        if value:
            kinds = {bytes: "bytes_list", int: "int64_list", float: "float_list"}
            getattr(feature, kinds[type(value[0])]).value.extend(value)
    return bytes(example.SerializeToString(deterministic=True))


def test_encode_example_equals_golden_bytes() -> None:
    # python -c "import tensorflow as tf; e = tf.train.Example()
    # e.features.feature['label'].int64_list.value.append(3)
    # e.features.feature['a'].bytes_list.value.append(b'x')
    # print(e.SerializeToString(deterministic=True).hex())"
    golden = "0a1c0a0a0a016112050a030a01780a0e0a056c6162656c12051a030a0103"
    assert encode_example({"label": [3], "a": [b"x"]}).hex() == golden


@given(features)
def test_encode_example_any_features_equal_tensorflow_bytes(
    given_features: dict[str, FeatureValue],
) -> None:
    assert encode_example(given_features) == to_tensorflow(given_features)


@given(features)
def test_example_encode_then_decode_returns_same_features(
    given_features: dict[str, FeatureValue],
) -> None:
    assert decode_example(encode_example(given_features)) == given_features


@given(features)
def test_encode_example_feature_order_does_not_change_bytes(
    given_features: dict[str, FeatureValue],
) -> None:
    backwards = dict(reversed(given_features.items()))
    assert encode_example(backwards) == encode_example(given_features)


def test_decode_example_feature_without_kind_is_empty_list() -> None:
    import tensorflow as tf

    example = tf.train.Example()
    example.features.feature["nothing"].SetInParent()
    assert decode_example(example.SerializeToString()) == {"nothing": []}


@pytest.mark.parametrize("value", [["text"], [b"bytes", 1], [None], [1, 0.5]])
def test_encode_example_unsupported_value_raises_type_error(value: list[object]) -> None:
    with pytest.raises(TypeError):
        encode_example({"a": value})  # type: ignore[dict-item]


@pytest.mark.parametrize("payload", [b"\xff", b"\x0a\x05ab", b"\x0a\x02\x0a\x09"])
def test_decode_example_invalid_bytes_raise_corrupt_data(payload: bytes) -> None:
    with pytest.raises(CorruptDataError, match=r"not a tf\.train\.Example"):
        decode_example(payload)


def test_decode_sequence_example_returns_context_and_feature_lists() -> None:
    import tensorflow as tf

    sequence = tf.train.SequenceExample()
    sequence.context.feature["id"].int64_list.value.append(7)
    for step in (b"a", b"b"):
        sequence.feature_lists.feature_list["word"].feature.add().bytes_list.value.append(step)
    decoded = decode_sequence_example(sequence.SerializeToString())
    assert decoded == ({"id": [7]}, {"word": [[b"a"], [b"b"]]})


def test_decode_sequence_example_plain_example_has_no_feature_lists() -> None:
    assert decode_sequence_example(encode_example({"a": [1]})) == ({"a": [1]}, {})
