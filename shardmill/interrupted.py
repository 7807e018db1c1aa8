"""The command that resumes an interrupted one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from records.text.urls import without_user

_WRITE_NOTHING = {"--dry-run", "--augment-preview", "--summary"}
_SAME_COMMAND = {
    "convert",
    "compact",
    "export-dataset",
    "remove",
    "relabel",
    "adopt",
    "rollback",
    "repair",
    "featurize",
}


def resume_hint(arguments: Sequence[str]) -> str | None:
    """Return how to resume a command; None if it leaves nothing to resume.

    Args:
        arguments: the arguments of the program, the name of the command among them.
    """
    name = next((text for text in arguments if text in {*_SAME_COMMAND, "train", "predict"}), None)
    options = {text.partition("=")[0] for text in arguments}
    if name is None or not options.isdisjoint(_WRITE_NOTHING):
        return None
    if name == "predict" and "--csv-parts" not in options:
        return None
    resume = ["--resume"] if name == "train" and "--resume" not in options else []
    command = shlex.join(["shardmill", *map(without_user, arguments), *resume])
    return f"resume with: {command}"
