"""Named groups of options in `--help`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_GROUP = "option_group"
_UNGROUPED = "Options"


class GroupedCommand(click.Command):
    """A command whose help lists the options in groups, and options without a group last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per group, in the order in which the groups are declared."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            entry = parameter.get_help_record(ctx)
            if entry is not None and isinstance(parameter, click.Option):
                groups.setdefault(vars(parameter).get(_GROUP, _UNGROUPED), []).append(entry)
        ungrouped = groups.pop(_UNGROUPED, [])
        for title, entries in [*groups.items(), (_UNGROUPED, ungrouped)]:
            if entries:
                with formatter.section(title):
                    formatter.write_dl(entries)


def option_group(title: str, *options: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds options to a command and lists them under a title.

    Args:
        title: the title of the section in `--help`; groups with the same title are one section.
        options: decorators from `click.option`, in the order in which `--help` lists them.

    The command must be a `GroupedCommand`:

        @click.command(cls=GroupedCommand)
        @click.argument("dataset")
        @option_group(
            "Splits",
            click.option("--test", type=float, help="Fraction of the images in test."),
            click.option("--seed", type=int, help="Seed of the split."),
        )
        def command(dataset, test, seed): ...
    """

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
            # click appends each option to a list on the function: the last entry is this option.
            parameter = vars(command)["__click_params__"][-1]
            vars(parameter).setdefault(_GROUP, title)
        return command

    return add
