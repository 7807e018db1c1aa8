"""Coverage-guided fuzzer (Atheris) of one target; see docs/explanation/testing.md.

    python tests/fuzz/fuzz_targets.py TARGET CORPUS_FOLDER -max_total_time=600

It writes its findings to the current folder as `crash-…`. To run one finding again, give its file
instead of CORPUS_FOLDER.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))
with atheris.instrument_imports(include=["records", "pipelines", "trainers"]):
    from tests.fuzz.mutations import apply, random_edits, reseal
    from tests.fuzz.targets import TARGETS

_FRAMED = {"framing"}


def main() -> None:
    """Fuzz until a limit of libFuzzer's options is reached."""
    target = TARGETS[sys.argv[1]]
    _write_seeds(Path(sys.argv[2]), target.seeds())

    def mutate(data: bytes, most_bytes: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < 0.5:
            changed = bytes(atheris.Mutate(data, most_bytes))
        else:
            changed = apply(data, random_edits(chance))
        # A wrong checksum would hide all code after it.
        if sys.argv[1] in _FRAMED and chance.random() < 0.5:
            changed = reseal(changed)
        return changed[:most_bytes]

    arguments = [sys.argv[0], *sys.argv[2:]]
    atheris.Setup(arguments, target.check, custom_mutator=mutate)
    atheris.Fuzz()


def _write_seeds(folder: Path, seeds: Sequence[bytes]) -> None:
    if folder.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (folder / f"seed-{number}").write_bytes(seed)


if __name__ == "__main__":
    main()
