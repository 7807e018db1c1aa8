"""Parser of Dockerfiles, and builder that runs their steps in a folder with chroot(2).

There is no base image: a stage begins with empty folders, and with the programs and one Python of
this machine, which are mounted read-only. A link gives this Python the name `python`, which that of
Debian does not have. The mounts are private to each step.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import string
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_KNOWN = {"ARG", "COPY", "ENTRYPOINT", "ENV", "LABEL", "RUN", "USER"}
_SYSTEM = ("bin", "etc", "lib", "lib64", "sbin", "usr")
_LINKS = "/base/bin"
_OF_PIP = re.compile(r"(?i)(?:pip_|ssl_|https?_proxy|no_proxy)")


class Step(NamedTuple):
    """One instruction, such as `RUN`, and its arguments on one line."""

    instruction: str
    arguments: str


@dataclass
class Stage:
    """One stage of a Dockerfile: its base, its name (may be empty), and its steps."""

    base: str
    name: str
    steps: list[Step] = field(default_factory=list)


def parse_dockerfile(text: str) -> list[Stage]:
    """Return the stages of a Dockerfile. Raises ValueError for an unsupported instruction."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    joined = "\n".join(lines).replace("\\\n", " ")
    stages: list[Stage] = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        instruction, _, arguments = line.partition(" ")
        if instruction == "FROM":
            base, *name = re.split(r" +AS +", arguments.strip())
            stages.append(Stage(base, "".join(name)))
        elif instruction in _KNOWN and stages:
            stages[-1].steps.append(Step(instruction, " ".join(arguments.split())))
        else:
            raise ValueError(f"unsupported instruction: {line}")
    return stages


class Built(NamedTuple):
    """A built stage.

    Attributes:
        root: the folder that is the root of its processes.
        variables: the environment of its processes.
        user: the numeric user and group of its processes.
        entrypoint: the beginning of its command.
    """

    root: Path
    variables: Mapping[str, str]
    user: int = 0
    entrypoint: Sequence[str] = ()

    def run(
        self,
        *arguments: str | Path,
        mounts: Mapping[Path, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the entrypoint with arguments.

        Args:
            arguments: the arguments.
            mounts: the writable folders in the root, by their sources.
            variables: more variables of the environment.
        """
        command = [*self.entrypoint, *map(str, arguments)]
        return _run(self, command, mounts or {}, variables or {})


@dataclass
class Builder:
    """Builder of the stages of a Dockerfile.

    Attributes:
        context: the folder that COPY reads.
        folder: an empty folder for the files of the stages.
        arguments: the build arguments.
        built: the finished stages by name.
    """

    context: Path
    folder: Path
    arguments: Mapping[str, str]
    built: dict[str, Built] = field(default_factory=dict)

    def build(self, stages: Sequence[Stage]) -> Built:
        """Run all steps, and return the last stage."""
        for number, stage in enumerate(stages):
            current = self._begin(stage, self.folder / f"{number}")
            defaults: dict[str, str] = {}
            for step in stage.steps:
                current = self._perform(current, step, defaults)
            self.built[stage.name] = current
        return current

    def _begin(self, stage: Stage, root: Path) -> Built:
        if stage.base in self.built:
            shutil.copytree(self.built[stage.base].root, root, symlinks=True)
            return self.built[stage.base]._replace(root=root)
        return Built(_make_root(root), {"PATH": f"{_python()}/bin:/usr/bin:/bin:{_LINKS}"})

    def _perform(self, stage: Built, step: Step, defaults: dict[str, str]) -> Built:
        known = {**stage.variables, **defaults}
        words = shlex.split(string.Template(step.arguments).safe_substitute(known))
        match step.instruction:
            case "ARG":
                name, _, default = words[0].partition("=")
                defaults[name] = self.arguments.get(name, default)
            case "ENV":
                values = dict(word.split("=", 1) for word in words)
                return stage._replace(variables={**stage.variables, **values})
            case "USER":
                return stage._replace(user=int(words[0].split(":")[0]))
            case "ENTRYPOINT":
                return stage._replace(entrypoint=[word.strip("[,]") for word in words])
            case "COPY":
                source = self.context
                if words[0].startswith("--from="):
                    source = self.built[words.pop(0).removeprefix("--from=")].root
                _copy(source, words[0].lstrip("/"), stage.root, words[1])
            case "RUN":
                _run_step(stage, step.arguments, defaults)
        return stage


def _run_step(stage: Built, script: str, variables: Mapping[str, str]) -> None:
    """Run a script with the settings of pip of this process. Raises ValueError if it fails."""
    settings = {name: value for name, value in os.environ.items() if _OF_PIP.match(name)}
    ended = _run(stage, ["sh", "-c", script], {}, {**settings, **variables})
    if ended.returncode:
        raise ValueError(f"{script}: {ended.stdout[-3000:]} {ended.stderr[-3000:]}")


def _copy(source: Path, pattern: str, root: Path, place: str) -> None:
    found = list(source.glob(pattern))
    assert found, pattern
    target = root / place.lstrip("/")
    for path in found:
        into = target / path.name if place.endswith("/") else target
        into.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            # Links: no step changes a copied file, and TensorFlow has two gigabytes.
            shutil.copytree(path, into, symlinks=True, copy_function=os.link)
        else:
            shutil.copy2(path, into)


def _python() -> Path:
    return Path(sys.base_prefix)


def _make_root(root: Path) -> Path:
    for name in ("dev", "proc", "tmp", *_SYSTEM):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    links = root / _LINKS.lstrip("/")
    links.mkdir(parents=True)
    (links / "python").symlink_to(_python() / "bin" / "python3")
    return root


def _run(
    stage: Built,
    command: Sequence[str],
    mounts: Mapping[Path, str],
    variables: Mapping[str, str],
) -> subprocess.CompletedProcess[str]:
    """Run a command in the root of a stage, as its user, with mounts that end with the command."""
    root, python = stage.root, _python()
    bound = [(f"/{name}", f"/{name}", "ro") for name in _SYSTEM if Path(f"/{name}").exists()]
    bound += [(str(python), str(python), "ro"), ("/dev", "/dev", "rw"), ("/proc", "/proc", "rw")]
    bound += [(str(source), place, "rw") for source, place in mounts.items()]
    lines = ["set -e"]
    for source, place, mode in bound:
        target = shlex.quote(f"{root}{place}")
        lines.append(f"mkdir -p {target}; mount --rbind {shlex.quote(source)} {target}")
        if mode == "ro":
            lines.append(f"mount -o remount,bind,ro {target}")
    given = shlex.join(
        f"{name}={value}" for name, value in {**stage.variables, **variables}.items()
    )
    ids = f"--reuid={stage.user} --regid={stage.user} --clear-groups --no-new-privs"
    started = f"/usr/bin/env -i {given} /usr/bin/setpriv {ids} {shlex.join(command)}"
    lines.append(f"exec chroot {shlex.quote(str(root))} {started}")
    return subprocess.run(
        ["unshare", "--mount", "--propagation=private", "sh", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
