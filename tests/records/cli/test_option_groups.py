"""Options of a command are listed in named groups."""

import click
from click.testing import CliRunner

from records.cli.option_groups import GroupedCommand, option_group


@click.command(cls=GroupedCommand)
@click.argument("dataset")
@click.option("--json", is_flag=True, help="Print JSON.")
@option_group(
    "Splits",
    click.option("--test", type=float, help="Fraction in test."),
    click.option("--seed", type=int, help="Seed of the split."),
)
@option_group("Images", click.option("--size", help="Width and height."))
@option_group("Splits", click.option("--group", help="Column of the group."))
def _command(**given: object) -> None:
    click.echo(sorted(name for name, value in given.items() if value))


def _sections() -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    title = ""
    for line in CliRunner().invoke(_command, ["--help"]).output.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            title = line.rstrip(":")
        elif line.startswith("  --"):
            sections.setdefault(title, []).append(line.split()[0])
    return sections


def test_help_lists_each_group_once_and_options_without_a_group_last() -> None:
    sections = _sections()

    assert list(sections.items()) == [
        ("Splits", ["--test", "--seed", "--group"]),
        ("Images", ["--size"]),
        ("Options", ["--json", "--help"]),
    ]


def test_options_of_groups_are_parsed_like_others() -> None:
    result = CliRunner().invoke(_command, ["data", "--seed", "1", "--group", "patient", "--json"])

    assert result.exit_code == 0, result.output
    assert result.output.strip() == "['dataset', 'group', 'json', 'seed']"
