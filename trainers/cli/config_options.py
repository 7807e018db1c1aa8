"""The options `--config` and `--set`, and the options that the user gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
import msgspec

from records.arguments import build_options
from records.cli.params import Location
from records.errors import UsageError
from trainers.augment.spec import to_augmentation
from trainers.options import TrainOptions

F = TypeVar("F", bound=Callable[..., Any])

_FILE, _SET = "shardmill.options_of_file", "shardmill.options_of_set"
"""Keys of values in `Context.meta`; a value of `--set` has priority over one of the file."""


def config_options(command: F) -> F:
    """Add `--config` and `--set` to a command with the options of `train`.

    Their values become defaults of the other options, so that an option that the user gives has
    priority over them.
    """
    config = click.option(
        "--config",
        type=Location(),
        metavar="FILE.toml",
        is_eager=True,
        expose_value=False,
        callback=_read_config,
        help="File with options of this command, such as options.toml of a run.",
    )
    settings = click.option(
        "--set",
        multiple=True,
        metavar="KEY=VALUE",
        is_eager=True,
        expose_value=False,
        callback=_read_settings,
        help="Option that replaces a value of FILE.toml; may be given several times.",
    )
    return config(settings(command))


def is_from_file(context: click.Context, name: str) -> bool:
    """Return whether the value of an option is that of the file of `--config`."""
    is_default = context.get_parameter_source(name) is click.core.ParameterSource.DEFAULT_MAP
    return is_default and name not in context.meta.get(_SET, {})


def given_options(context: click.Context) -> dict[str, Any]:
    """Return the options that the user gave, in the form of a run configuration."""
    default = click.core.ParameterSource.DEFAULT
    return {
        name: msgspec.to_builtins(context.params[name])
        for name in TrainOptions.__struct_fields__
        if context.get_parameter_source(name) is not default
    }


def _read_config(context: click.Context, _option: click.Parameter, path: str | None) -> None:
    if path is None or context.resilient_parsing:
        return
    from trainers.options_file import read_options

    values = read_options(path)
    _set_defaults(context, _FILE, {name: _convert(context, name, *values[name]) for name in values})


def _read_settings(context: click.Context, _option: click.Parameter, given: Sequence[str]) -> None:
    if not given or context.resilient_parsing:
        return
    from trainers.options_file import option_name

    values = {}
    for setting in given:
        key, equals, value = setting.partition("=")
        if not equals:
            raise UsageError("--set needs a value", expected="--set KEY=VALUE", got=setting)
        name = option_name(key, place="--set")
        values[name] = _convert(context, name, value.strip(), f"--set {key}")
    _set_defaults(context, _SET, values)


def _convert(context: click.Context, name: str, value: Any, place: str) -> Any:
    """Return the value of an option: text or an integer as on the command line, or other TOML."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        try:
            if name == "augment":
                return to_augmentation(value)
            return getattr(build_options(TrainOptions, {name: value}), name)
        except UsageError as error:
            raise UsageError(error.what.removeprefix("argument "), path=place) from error
    option = next(each for each in context.command.params if each.name == name)
    try:
        parts = [part.strip() for part in value.split(",")] if option.multiple else value
        return option.type_cast_value(context, parts)
    except click.BadParameter as error:
        raise UsageError(f"{name}: {error.message.rstrip('.')}", path=place) from error


def _set_defaults(context: click.Context, key: str, values: dict[str, Any]) -> None:
    """Make values defaults; the two options may be processed in either order."""
    context.meta[key] = values
    context.default_map = {**context.meta.get(_FILE, {}), **context.meta.get(_SET, {})}
