"""Codec of tf.train.Example, without TensorFlow.

The messages are declared here, with the field numbers of TensorFlow's `example.proto` and
`feature.proto`, in a separate descriptor pool: TensorFlow registers the same names in the default
pool, and one process must be able to import both TensorFlow and this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from records.errors import CorruptDataError
from records.text.formatting import pluralize

FeatureValue = Sequence[bytes] | Sequence[int] | Sequence[float]
"""The values of one feature, all of one type; an empty list for a feature without values."""

_Field = descriptor_pb2.FieldDescriptorProto
_LISTS = {
    "BytesList": _Field.TYPE_BYTES,
    "FloatList": _Field.TYPE_FLOAT,
    "Int64List": _Field.TYPE_INT64,
}
_KINDS = ("bytes_list", "float_list", "int64_list")
_GET_VALUES = {
    kind: attrgetter(f"{field}.value")
    for kind, field in zip((bytes, float, int), _KINDS, strict=True)
}
_NO_LISTS: Mapping[str, type] = {}


def _declare() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="shardmill/example.proto", package="tensorflow", syntax="proto3"
    )
    for name, kind in _LISTS.items():
        lists = file.message_type.add(name=name)
        lists.field.add(name="value", number=1, label=_Field.LABEL_REPEATED, type=kind)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (field, name) in enumerate(zip(_KINDS, _LISTS, strict=True), start=1):
        _add_message_field(feature, field, number, name).oneof_index = 0
    _declare_map(file.message_type.add(name="Features"), "feature", "Feature")
    list_of_features = file.message_type.add(name="FeatureList")
    _add_message_field(list_of_features, "feature", 1, "Feature", repeated=True)
    _declare_map(file.message_type.add(name="FeatureLists"), "feature_list", "FeatureList")
    example = file.message_type.add(name="Example")
    _add_message_field(example, "features", 1, "Features")
    sequence = file.message_type.add(name="SequenceExample")
    _add_message_field(sequence, "context", 1, "Features")
    _add_message_field(sequence, "feature_lists", 2, "FeatureLists")
    return file


def _add_message_field(
    owner: descriptor_pb2.DescriptorProto,
    name: str,
    number: int,
    kind: str,
    *,
    repeated: bool = False,
) -> descriptor_pb2.FieldDescriptorProto:
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    return owner.field.add(
        name=name,
        number=number,
        label=label,
        type=_Field.TYPE_MESSAGE,
        type_name=f".tensorflow.{kind}",
    )


def _declare_map(owner: descriptor_pb2.DescriptorProto, name: str, value: str) -> None:
    entry_name = "".join(part.capitalize() for part in name.split("_")) + "Entry"
    entry = owner.nested_type.add(name=entry_name)
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
    _add_message_field(entry, "value", 2, value)
    _add_message_field(owner, name, 1, f"{owner.name}.{entry_name}", repeated=True)


def _load() -> tuple[type[message.Message], type[message.Message]]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_declare())
    names = ("tensorflow.Example", "tensorflow.SequenceExample")
    example, sequence = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names
    )
    return example, sequence


_Example, _SequenceExample = _load()


def encode_example(features: Mapping[str, FeatureValue]) -> bytes:
    """Serialize an Example; equal features in any order give equal bytes.

    Raises:
        TypeError: a value is not a sequence of bytes, ints or floats, or mixes these types.
    """
    return bytes(_to_example(features).SerializeToString(deterministic=True))


def encode_features(features: Mapping[str, FeatureValue]) -> bytes:
    """Serialize a `Features` message, sorted by feature name. Raises as `encode_example`."""
    return bytes(_to_example(features).features.SerializeToString(deterministic=True))


def _to_example(features: Mapping[str, FeatureValue]) -> Any:
    example: Any = _Example()
    feature_map = example.features.feature
    for name, values in features.items():
        feature = feature_map[name]
        if len(values):  # a feature without values has no type, and fits any reader
            getattr(feature, _kind_of(values)).value.extend(values)
    return example


def _kind_of(values: FeatureValue) -> str:
    first = values[0]
    if isinstance(first, bytes):
        return "bytes_list"
    return "int64_list" if isinstance(first, int) else "float_list"


def decode_example(payload: bytes) -> dict[str, FeatureValue]:
    """Parse a serialized Example; a feature without values is an empty list.

    Raises:
        CorruptDataError: `payload` is not an Example.
    """
    example: Any = _parse(_Example, payload, "a tf.train.Example")
    return _to_python(example.features)


def decode_scalars(
    payload: bytes, features: Mapping[str, type], lists: Mapping[str, type] = _NO_LISTS
) -> dict[str, Any]:
    """Return the single value of each given feature of a serialized Example.

    Args:
        payload: the Example.
        features: the type of each feature by name: bytes, int or float.
        lists: the type of each feature of which all values are returned, as a tuple.

    Raises:
        CorruptDataError: `payload` is not an Example; or one of `features` is missing, or does not
            have exactly one value of its type.
    """
    example: Any = _parse(_Example, payload, "a tf.train.Example")
    feature_map = example.features.feature
    scalars = {}
    for name, kind in lists.items():
        scalars[name] = tuple(_GET_VALUES[kind](feature_map[name]))
    for name, kind in features.items():
        values = _GET_VALUES[kind](feature_map[name])  # empty if the feature is missing
        if len(values) != 1:
            raise _not_single_value(name, kind, feature_map[name])
        scalars[name] = values[0]
    return scalars


def _not_single_value(name: str, kind: type, feature: Any) -> CorruptDataError:
    found = _values(feature)
    found_type = f" of type {type(found[0]).__name__}" if found else ""
    return CorruptDataError(
        f"a record has no valid feature {name}",
        expected=f"one value of type {kind.__name__}",
        got=pluralize(len(found), "value") + found_type,
    )


def decode_sequence_example(
    payload: bytes,
) -> tuple[dict[str, FeatureValue], dict[str, list[FeatureValue]]]:
    """Parse a serialized SequenceExample into its context and its feature lists (lists of steps).

    Raises:
        CorruptDataError: `payload` is not a SequenceExample.
    """
    sequence: Any = _parse(_SequenceExample, payload, "a tf.train.SequenceExample")
    lists = {
        name: [_values(step) for step in feature_list.feature]
        for name, feature_list in sequence.feature_lists.feature_list.items()
    }
    return _to_python(sequence.context), lists


def _parse(kind: type[message.Message], payload: bytes, name: str) -> message.Message:
    try:
        return kind.FromString(payload)
    except message.DecodeError as error:
        raise CorruptDataError(f"a record is not {name}") from error


def _to_python(features: Any) -> dict[str, FeatureValue]:
    return {name: _values(feature) for name, feature in features.feature.items()}


def _values(feature: Any) -> FeatureValue:
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind else []


PayloadKind = Literal["Example", "SequenceExample", "bytes"]


class Payload(NamedTuple):
    """The kind and the features of a record; for a SequenceExample, also its feature lists."""

    kind: PayloadKind
    features: dict[str, FeatureValue]
    lists: dict[str, list[FeatureValue]]


def parse_payload(payload: bytes) -> Payload:
    """Parse the content of a record of unknown kind. Never raises.

    The features of an Example and the context of a SequenceExample have the same field number, so
    one parser reads both. Arbitrary bytes may parse by chance; if they contain no features, they
    count as bytes. Only an empty payload counts as an Example without features.
    """
    try:
        features, lists = decode_sequence_example(payload)
    except CorruptDataError:
        return Payload("bytes", {}, {})
    if lists:
        return Payload("SequenceExample", features, lists)
    return Payload("Example" if features or not payload else "bytes", features, {})
