"""All attacks for some minutes, two at a time: `python -m tests.attack --minutes 60 --seed 1`.

images        mutated JPEG and PNG files: stored images decode to the same pixels in TensorFlow
swaps         files and folders that are exchanged while a conversion runs
environments  every command in hostile environments
fail          every command, with one system call that fails
die           every command, killed at one system call, and then repeated
kill          every command, killed at a random moment, and then repeated

Prints each find, and at the end the number of cases and finds of each attack. Exit code 1 means
finds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import click

from tests.attack.calls import CallAttack
from tests.environments import commands, matrix

Cases = Iterator[list[str]]


def _images(_folder: Path, seed: int, seconds: float) -> Cases:
    yield _run("tests.fuzz", "--minutes", str(seconds / 60), "--seed", str(seed))


def _swaps(_folder: Path, _seed: int, seconds: float) -> Cases:
    yield _run("tests.faults.swaps", str(seconds))


def _run(module: str, *arguments: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False
    )
    click.echo(f"{module}: {ended.stdout.splitlines()[-1:]}")
    return [ended.stdout[-2000:] + ended.stderr[-2000:]] if ended.returncode else []


def _environments(folder: Path, _seed: int, _seconds: float) -> Cases:
    for number, (name, kind) in enumerate(product(commands.COMMANDS, matrix.ENVIRONMENTS)):
        case = folder / str(number)
        case.mkdir()
        yield list(matrix.find_failures(case, [name], [kind]))


def _calls(kind: str) -> Callable[[Path, int, float], Cases]:
    return lambda folder, seed, _seconds: CallAttack(folder, seed).finds(kind)


# The share of the time of each attack; the two lists run at the same time.
_LANES: tuple[dict[str, tuple[Callable[[Path, int, float], Cases], float]], ...] = (
    {
        "images": (_images, 0.35),
        "swaps": (_swaps, 0.1),
        "environments": (_environments, 0.25),
        "fail": (_calls("fail"), 0.3),
    },
    {"die": (_calls("die"), 0.3), "kill": (_calls("kill"), 0.7)},
)


def main() -> int:
    """Attack until the time is over; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.attack",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [name for lane in _LANES for name in lane]
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help="; ".join(names))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if unknown := set(options.attacks) - set(names):
        parser.error(f"unknown attacks: {sorted(unknown)}")
    wanted = options.attacks or names

    def run_lane(lane: dict[str, tuple[Callable[[Path, int, float], Cases], float]]) -> int:
        chosen = {name: lane[name] for name in lane if name in wanted}
        whole = sum(share for _, share in chosen.values())
        seconds = 60 * options.minutes
        return sum(
            _attack(name, cases, options.seed, seconds * share / whole)
            for name, (cases, share) in chosen.items()
        )

    with ThreadPoolExecutor(len(_LANES)) as pool:
        finds = sum(pool.map(run_lane, _LANES))
    return 1 if finds else 0


def _attack(
    name: str, make_cases: Callable[[Path, int, float], Cases], seed: int, seconds: float
) -> int:
    """Run the cases of an attack until its time is over; return the number of finds."""
    ends_at = time.monotonic() + seconds
    count = found = 0
    folder = Path(tempfile.mkdtemp(prefix=f"shardmill-attack-{name}-"))
    for finds in make_cases(folder, seed, seconds):
        count += 1
        found += len(finds)
        for find in finds:
            click.echo(f"{name}: {find}")
        if time.monotonic() > ends_at:
            break
    click.echo(f"{name}: {count} cases, {found} finds ({folder})")
    return found


if __name__ == "__main__":
    sys.exit(main())
