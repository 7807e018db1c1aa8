"""Options of a conversion, named after the flags of the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from records.arguments import build_options
from records.errors import UsageError
from records.format.manifest import Settings, SplitSize
from records.images import ImageOptions
from records.images.large_file import MAX_FILE_MB
from records.runtime.shard_worker import LOCAL, RunnerConfig

DEFAULT_MAX_REJECTS = 0.01
ALWAYS_ALLOWED_REJECTS = 10
DEFAULT_MAX_GONE = 0.1
_NOT_GIVEN = {"source", "output", "append", "explicit", "message"}
"""Options that the provenance has in other fields."""


class ConvertOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a conversion from `source` to `output`, which are local paths or fsspec URLs.

    `source` is a folder, a container such as an archive, or a pattern of containers.

    `test`, `validation`, `max_rejects` and `max_gone` are fractions if float, counts if int.
    `list`, `labels` and `exclude` are paths of files. `path_column`, `label_column`,
    `split_column`, `group_column` and `target_column` are columns of the list, and `image_folder`
    is the folder of its images below `source`. `keep_columns` are the columns whose values the
    records keep: `all` for all columns without another use, `none`, or names; they also keep
    `target_column`. `map` gives classes new names: pairs, `OLD=NEW` texts or files. `processes` is
    the number of processes of the runner `local`, and `workers` the number of threads in each
    process that writes shards; if None, they follow from the usable CPUs and the work. `append`
    adds new images to an existing dataset, and gives stored images the classes of the source; with
    `allow_new_classes`, also images of new classes. `accept_gone` removes stored images whose files
    are missing. `rename_class` gives classes of the dataset the new names of their folders: pairs,
    or `OLD=NEW` texts. With `quarantine`, a run that rejects more images than `max_rejects`
    publishes the others.
    Files over `max_file_mb` megabytes, and images that take more than `image_timeout` seconds to
    decode, are rejected. `runner` is `local` or the name of a Beam runner; Beam receives
    `beam_flags` unchanged. `explicit` are the names of the options that the user has passed: an
    append compares them with those of the dataset, also if they have their defaults. `describe` is
    the path of a description of the dataset. `message` is the reason for the generation, for its
    provenance. With `quality`, the measurements of the images are saved for `sm.quality`.
    """

    source: str
    output: str
    test: SplitSize | None = None
    validation: SplitSize | None = None
    stratify: bool = False
    group_by: str | None = None
    seed: int = 0
    shards: int | None = None
    shard_mb: int | None = None
    classes: tuple[str, ...] | None = None
    labels: str | None = None
    list: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    group_column: str | None = None
    target_column: str | None = None
    multi_label: bool = False
    label_separator: str | None = None
    image_folder: str | None = None
    keep_columns: tuple[str, ...] | str | None = None
    map: dict[str, str | None] | tuple[str, ...] | str | None = None
    leaf_class: bool = False
    exclude: str | None = None
    layout: Literal["auto", "classes", "splits"] = "auto"
    follow_symlinks: bool = False
    allow_url: bool = False
    max_rejects: SplitSize | None = None
    quarantine: bool = False
    max_file_mb: int = MAX_FILE_MB
    image_timeout: int = 60
    images: ImageOptions = ImageOptions()
    quality: bool = False
    processes: int | None = None
    workers: int | None = None
    append: bool = False
    allow_new_classes: bool = False
    max_gone: SplitSize = DEFAULT_MAX_GONE
    accept_gone: bool = False
    rename_class: dict[str, str] | tuple[str, ...] | None = None
    dry_run: bool = False
    runner: str = LOCAL
    beam_flags: tuple[str, ...] = ()
    explicit: tuple[str, ...] = ()
    describe: str | None = None
    message: str | None = None

    def given(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, for the provenance of a generation.

        The values of Beam flags are left out: they may be secrets.
        """
        default = msgspec.to_builtins(ConvertOptions(source="", output=""))
        options = msgspec.to_builtins(msgspec.structs.replace(self, beam_flags=()))
        images, usual = options.pop("images"), default.pop("images")
        changed = {
            name: value
            for values, defaults in ((options, default), (images, usual))
            for name, value in values.items()
            if value != defaults.get(name) and name not in _NOT_GIVEN
        }
        flags = [flag.partition("=")[0] for flag in self.beam_flags if flag.startswith("-")]
        return {**changed, "beam_flags": flags} if flags else changed

    def settings(self) -> Settings:
        """Return the options that determine the bytes of the dataset.

        The columns of a list are those of the result only after the list has been read.
        """
        given = {name: getattr(self, name, None) for name in Settings.__struct_fields__}
        if self.is_multi_label:
            given["task"] = "multi-label"
        given["images"] = self.images.for_conversion
        return Settings(**{name: value for name, value in given.items() if value is not None})

    def with_settings(self, settings: Settings) -> ConvertOptions:
        """Return these options with the groups, the columns and the task of a dataset.

        Raises:
            UsageError: the manifest of the dataset has an invalid regular expression, or its images
                are not decoded, and `quality` is set.
        """
        _check_quality(settings.images.check, quality=self.quality)
        options = self
        if settings.columns and options.keep_columns is None:
            names = tuple(column.name for column in settings.columns)
            options = msgspec.structs.replace(options, keep_columns=names)
        grouped = msgspec.structs.replace(
            options, group_by=settings.group_by, multi_label=settings.is_multi_label
        )
        if grouped != options:
            grouped.validate()
        return grouped

    @property
    def is_multi_label(self) -> bool:
        """Whether an image may have any number of labels."""
        return self.multi_label or self.label_separator is not None

    @property
    def keeps_groups(self) -> bool:
        """Whether the options for splits can keep groups whole."""
        has_counts = isinstance(self.test, int) or isinstance(self.validation, int)
        return not has_counts and (self.is_multi_label or not self.stratify)

    @property
    def runner_config(self) -> RunnerConfig:
        """Return the runner and its flags."""
        return RunnerConfig(self.runner, self.beam_flags)

    def allowed_rejects(self, images: int, *, needs_image: bool = True) -> int:
        """Return the maximum number of images that may be rejected.

        It is less than `images` if at least one image must be stored.
        """
        limit = self.max_rejects
        if limit is None:
            allowed = max(ALWAYS_ALLOWED_REJECTS, int(DEFAULT_MAX_REJECTS * images))
        elif isinstance(limit, float):
            allowed = int(limit * images)
        else:
            allowed = limit
        return min(allowed, images - 1) if needs_image else allowed

    def allowed_gone(self, stored: int) -> int:
        """Return the maximum number of stored images that may be missing from the source."""
        # 0.29 * 100 is 28.999999999999996.
        limit = self.max_gone
        return int(limit * stored + 1e-6) if isinstance(limit, float) else limit

    def validate(self) -> None:
        """Check the options, without reading files.

        Raises:
            UsageError: an option is out of range, or two options cannot be used together.
        """
        self.images.for_conversion.validate()
        _check_quality(self.images.check, quality=self.quality)
        _check_amount("--test", self.test)
        _check_amount("--validation", self.validation)
        _check_splits(self)
        _check_together(self)
        if self.group_by not in {None, "parent"}:
            _compile(str(self.group_by))
        for flag, value in (
            ("--shards", self.shards),
            ("--shard-mb", self.shard_mb),
            ("--processes", self.processes),
            ("--workers", self.workers),
            ("--max-file-mb", self.max_file_mb),
            ("--image-timeout", self.image_timeout),
        ):
            if value is not None and value < 1:
                raise UsageError(f"{flag} must be at least 1", got=value)
        if self.beam_flags and not self.beam_flags[0].startswith("-"):
            raise UsageError(
                "unexpected argument after SOURCE and OUTPUT",
                got=self.beam_flags[0],
                hint="put Beam flags after --, and a pattern of files in quotes",
            )
        if not 0 <= self.seed < 1 << 64:
            raise UsageError("--seed must be from 0 to 2**64 - 1", got=self.seed)
        if self.max_rejects is not None and not _is_amount(self.max_rejects, lowest=0):
            raise UsageError(
                "--max-rejects must be a fraction from 0 to below 1, or a whole number from 0",
                got=self.max_rejects,
            )
        if self.max_gone != 1 and not _is_amount(self.max_gone, lowest=0):
            raise UsageError(
                "--max-gone must be a fraction from 0 to 1, or a whole number from 0",
                got=self.max_gone,
            )


def make_options(given: Mapping[str, Any]) -> ConvertOptions:
    """Return the options that arguments of the Python API give.

    Args:
        given: the arguments by name: those of `ConvertOptions`, and those of `ImageOptions`, where
            `resize` may be the side of a square.

    Raises:
        UsageError: an argument has the wrong type, or is out of range.
    """
    resize = given.get("resize")
    square = {"resize": (resize, resize)} if isinstance(resize, int) else {}
    options = {**given, **square}
    if options.get("raw_share") is None:
        options.pop("raw_share", None)
    names = options.keys() & set(ImageOptions.__struct_fields__)
    images = {name: options.pop(name) for name in names}
    return build_options(ConvertOptions, {**options, "images": build_options(ImageOptions, images)})


def _check_amount(flag: str, amount: SplitSize | None) -> None:
    if amount is None:
        return
    if isinstance(amount, float) and not 0 < amount < 1:
        raise UsageError(f"{flag} must be a fraction between 0 and 1", got=amount)
    if isinstance(amount, int) and amount < 1:
        raise UsageError(f"{flag}-count must be at least 1", got=amount)


def _check_quality(check: str, *, quality: bool) -> None:
    if quality and check == "header":
        raise UsageError(
            "--quality measures decoded images, and --check header decodes none",
            hint="omit --check header; or omit --quality, and run `shardmill quality` later",
        )


def _check_splits(options: ConvertOptions) -> None:
    amounts = [amount for amount in (options.test, options.validation) if amount is not None]
    if sum(amount for amount in amounts if isinstance(amount, float)) >= 1:
        raise UsageError("--test and --validation leave no images for training", got=sum(amounts))
    if options.group_by is not None and not options.keeps_groups:
        raise UsageError(
            "--group-by cannot be used with exact counts or --stratify: groups are never divided",
            hint="use fractions: --test 0.2",
        )
    if options.stratify and not amounts:
        raise UsageError("--stratify needs --test or --validation", hint="add --test 0.2")


def _check_together(options: ConvertOptions) -> None:
    if options.label_separator is not None and not options.label_separator:
        raise UsageError("--label-separator is empty")
    for flag, is_given in (
        ("--allow-new-classes", options.allow_new_classes),
        ("--max-gone", options.max_gone != DEFAULT_MAX_GONE),
        ("--accept-gone", options.accept_gone),
        ("--rename-class", bool(options.rename_class)),
    ):
        if is_given and not options.append:
            raise UsageError(f"{flag} needs --append")
    if options.processes is not None and options.runner_config.needs_beam:
        raise UsageError(
            "--processes needs the runner local",
            got=options.runner,
            hint="set the number of workers where the engine starts, or with its flags after --",
        )
    for first, one, second, other in (
        ("--classes", options.classes, "--labels", options.labels),
        ("--list", options.list, "--leaf-class", options.leaf_class or None),
        ("--shards", options.shards, "--shard-mb", options.shard_mb),
    ):
        if one is not None and other is not None:
            raise UsageError(f"{first} and {second} cannot be used together")


def _compile(pattern: str) -> None:
    try:
        re.compile(pattern.encode().decode())
    except (re.error, UnicodeEncodeError) as error:
        raise UsageError(
            "--group-by is neither `parent` nor a valid regular expression",
            got=f"{pattern!r}: {error}",
        ) from error


def _is_amount(amount: SplitSize, *, lowest: int) -> bool:
    return 0 <= amount < 1 if isinstance(amount, float) else amount >= lowest
