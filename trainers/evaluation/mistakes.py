"""Wrong predictions with the highest scores, and their records.

During an evaluation, a heap keeps the keys and scores of the worst mistakes. Afterwards, the
indexes give the locations of these keys, and only these records are read.
"""

from __future__ import annotations

import heapq
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from records.errors import CorruptDataError
from records.format.index import read_shard_index
from records.text.escaping import escape_for_display
from records.text.keys import key_to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from records.dataset import Dataset, Record
    from records.format.manifest import ShardInfo
    from trainers.input.selection import Selection


class Mistake(msgspec.Struct, frozen=True):
    """A wrong prediction.

    Attributes:
        key: the key of the record as text: the path of the image relative to the source.
        shard: the name of the shard.
        record: the number of the record in the shard, from 0.
        class_name: the true class.
        predicted: the predicted class.
        score: the score of the predicted class, 0 to 1.
    """

    key: str
    shard: str
    record: int
    class_name: str = msgspec.field(name="class")
    predicted: str
    score: float

    def title(self) -> tuple[str, str]:
        """Return the two lines above the image in a picture."""
        # The score comes first, because long lines are cut at the end.
        return f"{self.score:.0%} {self.predicted}", f"is {self.class_name}"


class LabelMistake(msgspec.Struct, frozen=True):
    """A wrong prediction for one class of an image with any number of labels.

    Attributes:
        key: the key of the record as text: the path of the image relative to the source.
        shard: the name of the shard.
        record: the number of the record in the shard, from 0.
        class_name: the class.
        predicted: whether the class is predicted for the image, which does not have the label;
            otherwise the image has the label, and the class is not predicted.
        score: the score of the class, 0 to 1.
    """

    key: str
    shard: str
    record: int
    class_name: str = msgspec.field(name="class")
    predicted: bool
    score: float

    def title(self) -> tuple[str, str]:
        """Return the two lines above the image in a picture."""
        is_not = "is not" if self.predicted else "is"
        return f"{self.score:.0%} {self.class_name}", f"{is_not} {self.class_name}"


class ValueMistake(msgspec.Struct, frozen=True):
    """A predicted number, and the true one.

    Attributes:
        key: the key of the record as text: the path of the image relative to the source.
        shard: the name of the shard.
        record: the number of the record in the shard, from 0.
        value: the value of the target column.
        predicted: the predicted value.
        error: the distance of the two values.
    """

    key: str
    shard: str
    record: int
    value: float
    predicted: float
    error: float

    def title(self) -> tuple[str, str]:
        """Return the two lines above the image in a picture."""
        return f"{self.predicted:.4g}", f"is {self.value:.4g}"


AnyMistake = Mistake | LabelMistake | ValueMistake


class ScoredMistake(NamedTuple):
    """A wrong prediction during an evaluation.

    For several labels per image, `label` is the class, `predicted` is whether it is predicted, and
    `score` is the distance of its score from 0 or 1. For a number per image, `label` is the true
    value, and `score` is its distance from the predicted value.

    The mistake with the higher score is the greater one. If scores are equal, the earlier mistake
    is greater, because `place` is its negative number.
    """

    score: float
    place: int
    key: bytes
    label: float
    predicted: float


class WorstMistakes:
    """Keeps the `most` mistakes with the highest scores; of equal scores, the first added."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[ScoredMistake] = []
        self._seen = 0

    def add(
        self, scores: NDArray[np.float64], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """Add the mistakes of a batch: scores (images, classes), labels and keys (images,)."""
        predicted = scores.argmax(axis=1)
        for number in (predicted != labels).nonzero()[0].tolist():
            self._seen += 1
            label = int(predicted[number])
            score = float(scores[number, label])
            self._push(ScoredMistake(score, -self._seen, keys[number], int(labels[number]), label))

    def _push(self, wrong: ScoredMistake) -> None:
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, wrong)
        elif self._heap:
            heapq.heappushpop(self._heap, wrong)

    def ranked(self) -> list[ScoredMistake]:
        """Return the mistakes, the highest score first."""
        return sorted(self._heap, reverse=True)


class WorstLabelMistakes(WorstMistakes):
    """Keeps the `most` mistakes whose scores are furthest from right: from 0 or from 1.

    Args:
        most: the number of mistakes to keep.
        thresholds: the threshold of each class.
    """

    def __init__(self, most: int, thresholds: Sequence[float]) -> None:
        super().__init__(most)
        self._thresholds = thresholds

    def add(
        self, scores: NDArray[np.float64], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """Add the mistakes of a batch: scores and multi-hot labels (images, classes)."""
        if not self._most:
            return
        predicted = scores >= self._thresholds
        distances = abs(scores - labels)
        for number, label in zip(*(predicted != (labels > 0.5)).nonzero(), strict=True):
            self._seen += 1
            found = bool(predicted[number, label])
            distance = float(distances[number, label])
            self._push(ScoredMistake(distance, -self._seen, keys[number], int(label), found))


class WorstValues(WorstMistakes):
    """Keeps the `most` predicted values that are furthest from the true ones."""

    def add(
        self, scores: NDArray[np.float64], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """Add a batch: predicted values (images, 1), true values and keys (images,)."""
        if not self._most:
            return
        predicted, true = scores[:, 0].tolist(), labels.tolist()
        for value, truth, key in zip(predicted, true, keys, strict=True):
            self._seen += 1
            self._push(ScoredMistake(abs(value - truth), -self._seen, key, truth, value))


class RecordLocation(NamedTuple):
    """The shard of a record, and the number of the record in the shard, from 0."""

    shard: str
    record: int


def locate_records(
    dataset: Dataset, selection: Selection, keys: Iterable[bytes]
) -> dict[bytes, RecordLocation]:
    """Find the records with these keys in the indexes, and return their locations.

    Raises:
        CorruptDataError: an index is damaged, or a key is in no index.
    """
    wanted = {key_to_text(key): key for key in keys}
    places: dict[bytes, RecordLocation] = {}
    for shard in selection.shards:
        if len(places) == len(wanted):
            break
        for record, text in enumerate(_read_keys(dataset, shard)):
            if text in wanted:
                places[wanted[text]] = RecordLocation(shard.name, record)
    for text, key in wanted.items():
        if key not in places:
            raise CorruptDataError(
                f"no index contains the record {escape_for_display(text)}",
                path=dataset.storage.url,
                hint="`shardmill verify` lists all damage",
            )
    return places


def _read_keys(dataset: Dataset, shard: ShardInfo) -> list[str]:
    # `Split` is not used here, because it keeps every index in memory.
    keys: list[str] = read_shard_index(dataset.storage, shard).table["key"].to_pylist()
    return keys


def describe_mistakes(
    ranked: Iterable[ScoredMistake], places: dict[bytes, RecordLocation], labels: Sequence[str]
) -> tuple[Mistake, ...]:
    """Return the mistakes with class names and locations."""
    return tuple(
        Mistake(
            key=key_to_text(wrong.key),
            shard=places[wrong.key].shard,
            record=places[wrong.key].record,
            class_name=labels[int(wrong.label)],
            predicted=labels[int(wrong.predicted)],
            score=wrong.score,
        )
        for wrong in ranked
    )


def describe_label_mistakes(
    ranked: Iterable[ScoredMistake], places: dict[bytes, RecordLocation], labels: Sequence[str]
) -> tuple[LabelMistake, ...]:
    """Return the mistakes of `WorstLabelMistakes` with class names and locations."""
    return tuple(
        LabelMistake(
            key=key_to_text(wrong.key),
            shard=places[wrong.key].shard,
            record=places[wrong.key].record,
            class_name=labels[int(wrong.label)],
            predicted=bool(wrong.predicted),
            score=wrong.score if wrong.predicted else 1 - wrong.score,
        )
        for wrong in ranked
    )


def describe_value_mistakes(
    ranked: Iterable[ScoredMistake], places: dict[bytes, RecordLocation]
) -> tuple[ValueMistake, ...]:
    """Return the mistakes of `WorstValues` with locations."""
    return tuple(
        ValueMistake(
            key=key_to_text(wrong.key),
            shard=places[wrong.key].shard,
            record=places[wrong.key].record,
            value=wrong.label,
            predicted=wrong.predicted,
            error=wrong.score,
        )
        for wrong in ranked
    )


def read_mistakes(
    dataset: Dataset, selection: Selection, mistakes: Iterable[AnyMistake]
) -> list[Record]:
    """Return the records of mistakes. Raises CorruptDataError if a record is damaged."""
    split = dataset[selection.split]
    records = [shard.records for shard in split.info.shards]
    firsts = accumulate(records, initial=0)
    first = dict(zip((shard.name for shard in split.info.shards), firsts, strict=False))
    return [split[first[mistake.shard] + mistake.record] for mistake in mistakes]
