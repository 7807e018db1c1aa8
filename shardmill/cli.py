"""The command line's root: it names the commands, and loads a package only when one is called."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import sys
import time
from itertools import islice
from typing import TYPE_CHECKING, NoReturn

import click

from records.errors import ShardmillError
from records.runtime.logging import log_event, log_line, set_log_format
from shardmill.wiring import PipelineExecutor

if TYPE_CHECKING:
    from types import FrameType


_COMMANDS = {
    "convert": (
        "pipelines.cli.convert",
        "Turn a folder of labelled images into a dataset of shards.",
    ),
    "compact": ("pipelines.cli.compact", "Write a dataset of many generations anew, as one."),
    "clean": ("pipelines.cli.clean", "Remove what an unfinished conversion left behind."),
    "extract": ("pipelines.cli.extract", "Write a dataset's images back into folders."),
    "inspect": ("records.cli.inspect", "Show what a TFRecord file or a dataset holds."),
    "verify": ("records.cli.verify", "Check every checksum, count and size of a dataset."),
    "salvage": ("records.cli.salvage", "Copy the whole records of a damaged file into a new one."),
    "adopt": ("records.cli.adopt", "Make a dataset of TFRecord files that others wrote."),
    "stats": ("records.cli.stats", "Count classes, sizes, formats and duplicates."),
    "featurize": ("trainers.cli.featurize", "Keep a base's features of every image, for `train`."),
    "train": ("trainers.cli.train", "Train a model from a dataset."),
    "evaluate": ("trainers.cli.evaluate", "Measure a trained model on a split."),
    "predict": ("trainers.cli.predict", "Classify images with a trained model."),
    "export": ("trainers.cli.export", "Write a trained model for use elsewhere."),
    "doctor": ("trainers.cli.doctor", "Show devices, and what holds a training back."),
}
_EPILOG = """\b
Examples:
  shardmill convert photos/ data/ --test 0.2
  shardmill verify data/
  shardmill train data/ run/
  shardmill predict run/ new/*.jpg
"""
_VERBOSE = "--verbose"
_LOG_FORMAT = "--log-format"
_EXIT_BUG = 70
_EXIT_INTERRUPTED = 130
_EXIT_TERMINATED = 143


class _LazyGroup(click.Group):
    """Commands by name, each imported from its package when it is called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(_COMMANDS[name][0]), name)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(_VERBOSE, "_verbose", is_flag=True, help="Show the trace of an error.")
@click.option(
    _LOG_FORMAT,
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    is_eager=True,
    expose_value=False,
    callback=lambda _context, _option, name: set_log_format(name),
    help="Of stderr; json: an object a line.",
)
@click.version_option(package_name="shardmill")
@click.pass_context
def shardmill(context: click.Context, *, _verbose: bool) -> None:
    """A folder of labelled images becomes verified TFRecord shards, and models train from them."""
    context.obj = PipelineExecutor()


def main() -> NoReturn:
    """Run the command line: every error is one line on stderr and an exit code of its own."""
    signal.signal(signal.SIGTERM, _terminate)
    set_log_format("text")
    # Arrow's own keeps what is freed, which is as much again as a large plan takes.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    started_at = time.monotonic()
    code = _EXIT_TERMINATED
    try:
        code = _run()
    finally:
        log_event("ended", exit_code=code, seconds=round(time.monotonic() - started_at, 3))
    _leave(code)


def _run() -> int:
    """Call the command; its exit code. Raises SystemExit when terminated."""
    code: int
    try:
        code = shardmill.main(args=_arguments(), standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        code = _report(_explain(error), error.exit_code)
    except ShardmillError as error:
        code = _report(str(error), error.exit_code, **error.to_dict())
    except ModuleNotFoundError as error:
        code = _report_missing(error)
    except (KeyboardInterrupt, click.exceptions.Abort):
        code = _report("interrupted", _EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output (head, less) has gone; what is buffered must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        code = _report_bug(error)
    return code


def _report_missing(error: ModuleNotFoundError) -> int:
    """Report a package that an extra installs, or else a bug."""
    from records.runtime.extras import explain_missing

    missing = explain_missing(error)
    if missing is None:
        return _report_bug(error)
    return _report(str(missing), missing.exit_code, **missing.to_dict())


def _report_bug(error: Exception) -> int:
    text = f"internal error, {type(error).__name__}: {error}; --verbose shows where"
    return _report(text, _EXIT_BUG)


def _leave(code: int) -> NoReturn:
    """End the process without a last look for garbage: 0.3 s where Beam or TensorFlow is loaded."""
    gc.freeze()
    sys.exit(code)


def _arguments() -> list[str]:
    """The arguments with those of every command in front: they are mostly added at the end."""
    arguments = sys.argv[1:]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    front: list[str] = []
    rest: list[str] = []
    given = iter(arguments[:end])
    for argument in given:
        if argument == _LOG_FORMAT:
            front += [argument, *islice(given, 1)]
        elif argument == _VERBOSE or argument.startswith(f"{_LOG_FORMAT}="):
            front.append(argument)
        else:
            rest.append(argument)
    return [*front, *rest, *arguments[end:]]


def _explain(error: click.ClickException) -> str:
    """What click found wrong, in one line, and where to read more."""
    text = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{text}; see `{context.command_path} --help`" if context else text


def _report(text: str, code: int, **fields: object) -> int:
    trace = _VERBOSE in sys.argv
    log_line(text, level=logging.ERROR, trace=trace, exit_code=code, **fields)
    return code


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(_EXIT_TERMINATED)
