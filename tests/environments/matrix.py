"""Every command in hostile environments, each call in a process of its own.

    python -m tests.environments.matrix [COMMAND…]

Takes about half an hour for all commands. Prints one line per call that ends with a traceback, a
signal, an internal error, or another exit code than in the usual environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.environments import commands

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[2]
_CACHE_ERROR = {"train": 73}
_NO_NAME = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
_LOST_OUTPUT = {name: 73 for name in commands.COMMANDS if name not in {"clean", "serve"}}


@dataclass(frozen=True)
class Environment:
    """An environment in which commands must work.

    Args:
        variables: environment variables; None means that the variable is not set.
        files: the content of files by name, written into the working folder `{here}`.
        shell: the shell line; `"$@"` is the command.
        codes: the expected exit codes that differ from the usual ones, by command.
    """

    variables: Mapping[str, str | None] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    shell: str = '"$@"'
    codes: Mapping[str, int] = field(default_factory=dict)


def _keras(content: str) -> Environment:
    return Environment({"KERAS_HOME": "{here}"}, {"keras.json": content})


def _invalid_keras(content: str) -> Environment:
    codes = dict.fromkeys(commands.NEEDS_KERAS, 2)
    return Environment({"KERAS_HOME": "{here}"}, {"keras.json": content}, codes=codes)


_RC = "text.usetex: True\nfont.family: Nonsense\nno colon\naxes.prop_cycle: xx\nsavefig.dpi: 9\n"
ENVIRONMENTS = {
    "jupyter": Environment({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
    "backend of matplotlib": Environment({"MPLBACKEND": "rubbish"}),
    "matplotlibrc": Environment({"MATPLOTLIBRC": "{here}"}, {"matplotlibrc": _RC}),
    "matplotlibrc in the working folder": Environment({}, {"matplotlibrc": _RC}),
    "no folder for matplotlib": Environment({"MPLCONFIGDIR": "/dev/null/a"}),
    "keras settings": _keras(
        '{"image_data_format": "channels_first", "backend": "torch", "floatx": "float16"}'
    ),
    "keras settings, no JSON": _keras("rubbish"),
    "keras settings, a list": _invalid_keras("[]"),
    "keras settings, invalid": _invalid_keras('{"floatx": "float1", "epsilon": 1}'),
    "no home": Environment({"HOME": "/dev/null", "XDG_CACHE_HOME": None}, codes=_CACHE_ERROR),
    "no user": Environment(
        {"HOME": None, "XDG_CACHE_HOME": None},
        shell=f'setpriv --reuid=54321 --clear-groups {" ".join(_NO_NAME)} "$@"',
        codes=_CACHE_ERROR,
    ),
    "no temporary folder": Environment({"TMPDIR": "/dev/null/a"}),
    "locale C": Environment(
        {"LC_ALL": "C", "LANG": None, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ),
    "locale POSIX": Environment({"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"}),
    "optimized": Environment({"PYTHONOPTIMIZE": "2"}),
    "warnings": Environment({"PYTHONWARNINGS": "error"}),
    "narrow": Environment({"COLUMNS": "1", "LINES": "1", "TERM": "dumb", "NO_COLOR": "1"}),
    "time zone": Environment({"TZ": "Rubbish/Zone+99"}),
    "umask 077": Environment(shell='umask 077; "$@"'),
    "closed": Environment(shell='"$@" 0<&- 1>&- 2>&-'),
    "full": Environment(shell='"$@" 1>/dev/full', codes=_LOST_OUTPUT),
    "all full": Environment(shell='"$@" 1>/dev/full 2>/dev/full', codes=_LOST_OUTPUT),
    "broken pipe": Environment(shell='set -o pipefail; "$@" | true'),
    "JSON lines": Environment(shell='"$@" --log-format json'),
}


def find_failures(
    folder: Path, names: Iterable[str] = commands.COMMANDS, kinds: Iterable[str] = ENVIRONMENTS
) -> Iterator[str]:
    """Yield a line per call that fails; the folder is empty.

    Args:
        folder: the folder for inputs and outputs.
        names: the commands to call.
        kinds: the environments, keys of `ENVIRONMENTS`.
    """
    commands.make_inputs(folder)
    wanted = list(names)
    if {"evaluate", "predict", "serve", "export"} & set(wanted):
        _call(commands.arguments("train", folder, folder / "run"), folder, Environment())
    folder.chmod(0o777)
    for name in wanted:
        usual = _call(
            commands.arguments(name, folder, folder / f"{name}-new"), folder, Environment()
        )
        for number, kind in enumerate(kinds):
            here = folder / f"{name}-{number}"
            here.mkdir(mode=0o777)
            environment = ENVIRONMENTS[kind]
            ended = _call(commands.arguments(name, folder, here / "new"), here, environment)
            expected = environment.codes.get(name, usual.returncode)
            text = ended.stdout + ended.stderr
            if ended.returncode != expected or "Traceback" in text or "internal error" in text:
                yield f"{name}, {kind}: expected {expected}, got {ended.returncode}: {text[-300:]}"


def _call(
    arguments: Sequence[str], here: Path, environment: Environment
) -> subprocess.CompletedProcess[str]:
    for name, content in environment.files.items():
        (here / name).write_text(content, encoding="utf-8")
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(here / "cache")}
    for name, value in environment.variables.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value.format(here=here)
    return subprocess.run(
        ["bash", "-c", environment.shell, "bash", sys.executable, "-m", "shardmill", *arguments],
        cwd=here,
        env=variables,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=600,
        check=False,
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        failures = 0
        for line in find_failures(Path(folder), sys.argv[1:] or commands.COMMANDS):
            failures += 1
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    sys.exit(failures > 0)
