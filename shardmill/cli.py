"""The command line: the commands, and the exit codes of errors.

A package is imported when one of its commands is called.
"""

from __future__ import annotations

import errno
import gc
import importlib
import logging
import os
import signal
import sys
import time
from contextlib import nullcontext
from itertools import islice, pairwise
from typing import TYPE_CHECKING, NoReturn

import click

from records.errors import InputNotFoundError, ShardmillError
from records.runtime.cpu import ONE_BLAS_THREAD
from records.runtime.logging import (
    format_native_line,
    is_terminal,
    log_end,
    log_line,
    set_log_format,
)
from records.runtime.resource_limits import explain_exhaustion
from records.runtime.standard_streams import (
    capture_native_output,
    open_standard_streams,
    stdout_error,
)
from records.runtime.storage_patience import DEFAULT, VARIABLE, set_default_patience
from records.runtime.termination import find_interrupt, watch_signals
from shardmill.interrupted import resume_hint
from shardmill.telemetry import export_telemetry, start_telemetry
from shardmill.wiring import PipelineExecutor

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import FrameType


_COMMANDS = {
    "convert": ("pipelines.cli.convert", "Convert labelled images to a dataset of shards."),
    "compact": ("pipelines.cli.compact", "Write all generations of a dataset as one generation."),
    "remove": ("pipelines.cli.remove", "Remove images from a dataset, in a new generation."),
    "relabel": ("pipelines.cli.relabel", "Change the classes of images, in a new generation."),
    "rollback": ("pipelines.cli.rollback", "Return to an earlier generation of a dataset."),
    "repair": ("pipelines.cli.repair", "Make the damaged files of a dataset again."),
    "prune": ("pipelines.cli.prune", "Remove old generations, and the files that only they need."),
    "clean": ("pipelines.cli.clean", "Remove the state of an unfinished conversion."),
    "extract": ("pipelines.cli.extract", "Write the images of a dataset into folders."),
    "export-dataset": (
        "pipelines.cli.export_dataset",
        "Write a dataset to Parquet, WebDataset, TFDS and other files.",
    ),
    "inspect": ("records.cli.inspect", "Show the contents of a dataset or a TFRecord file."),
    "verify": ("records.cli.verify", "Check every checksum, count and size of a dataset."),
    "sign": ("records.cli.sign", "Sign a dataset, so that every change of it is detected."),
    "log": ("records.cli.log", "List the generations of a dataset, the newest first."),
    "diff": ("records.cli.diff", "Compare two datasets, or two generations of a dataset."),
    "files": ("records.cli.files", "List the shards of a dataset, of all generations."),
    "salvage": (
        "records.cli.salvage",
        "Copy the intact records of a damaged file into a new file.",
    ),
    "adopt": ("records.cli.adopt", "Make a dataset from third-party TFRecord files."),
    "stats": ("records.cli.stats", "Count classes, sizes, formats and duplicates."),
    "quality": ("records.cli.quality", "Find dark, blurry, oddly sized and duplicate images."),
    "label-errors": ("trainers.cli.label_errors", "Find images whose label may be wrong."),
    "report": ("shardmill.report_command", "Write a report of a dataset and of runs as HTML."),
    "featurize": ("trainers.cli.featurize", "Store the backbone features of every image."),
    "models": ("trainers.cli.models", "List the models of train: sizes, parameters, accuracy."),
    "train": ("trainers.cli.train", "Train a model on a dataset."),
    "evaluate": ("trainers.cli.evaluate", "Measure a trained model on a split."),
    "runs": ("trainers.cli.runs", "Compare runs: their results and options."),
    "predict": ("trainers.cli.predict", "Predict classes or numbers of images."),
    "serve": ("trainers.cli.serve", "Serve predictions over HTTP."),
    "export": ("trainers.cli.export", "Export a trained model for use in other programs."),
    "doctor": ("trainers.cli.doctor", "Show the devices and what limits training speed."),
}
_EPILOG = """\b
Examples:
  shardmill convert photos/ data/ --test 0.2
  shardmill verify data/
  shardmill train data/ run/
  shardmill predict run/ new/*.jpg
"""
_HELP = ["-h", "--help"]
_VERBOSE = "--verbose"
_LOG_FORMAT = "--log-format"
_PATIENCE = "--storage-patience"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_EXIT_BUG = 70
_EXIT_INTERRUPTED = 130
_EXIT_TERMINATED = 143


class _LazyGroup(click.Group):
    """A group of commands; each command is imported when it is called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = _COMMANDS[name][0]
        if not module.startswith("trainers."):  # a model of the user may compute with numpy
            os.environ.update({**ONE_BLAS_THREAD, **os.environ})
        function = name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(module), function)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": _HELP},
)
@click.option(_VERBOSE, "_verbose", is_flag=True, help="Show the traceback of an error.")
@click.option(
    _LOG_FORMAT,
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    is_eager=True,
    expose_value=False,
    callback=lambda _context, _option, name: set_log_format(name),
    help="Format of stderr; json prints one object per line.",
)
@click.option(
    _PATIENCE,
    metavar="DURATION",
    expose_value=False,
    callback=lambda _context, _option, text: _set_patience(text),
    help=f"Time to wait for a store (s3://, gs://, az://, …) that does not answer, such as 90s"
    f" or 10m; also in {VARIABLE}.  [default: {DEFAULT}]",
)
@click.version_option(package_name="shardmill")
@click.pass_context
def shardmill(context: click.Context, *, _verbose: bool) -> None:
    """Convert labelled images to verified TFRecord shards, and train models on them."""
    context.obj = PipelineExecutor()
    if set(_HELP).isdisjoint(_arguments()):
        start_telemetry(str(context.invoked_subcommand))


def _set_patience(text: str | None) -> None:
    if text is not None:
        set_default_patience(text)


def main() -> NoReturn:
    """Run the command line; report an error as one line on stderr and an exit code."""
    open_standard_streams()
    signal.signal(signal.SIGTERM, _terminate)
    set_log_format("text")
    _set_variables()
    started_at = time.monotonic()
    code = _EXIT_TERMINATED
    with _capture_native_output():  # forks, so it comes before the thread of `watch_signals`
        try:
            code = _run()
        except SystemExit as stopped:
            if stopped.code == _EXIT_TERMINATED:
                _report_interrupted("terminated", _EXIT_TERMINATED)
            raise
        finally:
            code, seconds = _check_stdout(code), time.monotonic() - started_at
            export_telemetry(code)
            log_end(exit_code=code, seconds=round(seconds, 3))
    _leave(code)


def _set_variables() -> None:
    """Set what libraries read when they are imported, here and in child processes."""
    # Arrow's default allocator would keep the memory of a large plan after the plan is freed.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # Figures have the style of shardmill; an invalid setting would prevent the import.
    os.environ["MPLBACKEND"] = "agg"
    os.environ["MATPLOTLIBRC"] = os.devnull


def _capture_native_output() -> AbstractContextManager[None]:
    """Keep the lines of C libraries out of JSON lines and of the output of --quiet."""
    arguments = _arguments()
    front = arguments[: arguments.index("--")] if "--" in arguments else arguments
    quiet = "--quiet" in front
    if f"{_LOG_FORMAT}=json" in front or [_LOG_FORMAT, "json"] in map(list, pairwise(front)):
        return capture_native_output(format_native_line, quiet=quiet)
    return capture_native_output(quiet=True) if quiet else nullcontext()


def _check_stdout(code: int) -> int:
    """Return the exit code; success becomes a failure if stdout could not be written."""
    sys.stdout.flush()
    error = stdout_error()
    # The reader of a pipe (head, less) may exit early.
    if error is None or error.errno == errno.EPIPE or code != 0:
        return code
    hint = "send stdout elsewhere; the command itself has succeeded"
    return _report_error(_translate(error, "stdout", hint))


def _run() -> int:
    """Call the command and return its exit code. Raises SystemExit on SIGTERM."""
    code: int
    try:
        watch_signals()  # while a thread starts, Python may replace the exception of a signal
        code = shardmill.main(args=_arguments(), standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        code = _report(_explain(error), error.exit_code)
    except ShardmillError as error:
        code = _report_error(error)
    except ModuleNotFoundError as error:
        code = _report_missing(error)
    except (KeyboardInterrupt, click.exceptions.Abort):
        code = _report_interrupted()
    except Exception as error:
        interrupt = find_interrupt(error)
        if isinstance(interrupt, SystemExit):
            raise interrupt from None
        code = _report_interrupted() if interrupt else _report_exception(error)
    return code


def _report_interrupted(event: str = "interrupted", code: int = _EXIT_INTERRUPTED) -> int:
    hint = resume_hint(sys.argv[1:])
    return _report(f"{event}; {hint}" if hint else event, code)


def _report_missing(error: ModuleNotFoundError) -> int:
    """Report a missing package and the extra that installs it; if no extra does, report a bug."""
    from records.runtime.extras import explain_missing

    missing = explain_missing(error)
    if missing is None:
        return _report_bug(error)
    return _report_error(missing)


def _report_error(error: ShardmillError) -> int:
    """Report an error on one line; on a terminal, report its hint on a second line."""
    if not is_terminal() or error.hint is None:
        return _report(str(error), error.exit_code, **error.to_dict())
    code = _report(error.problem, error.exit_code)
    log_line(f"hint: {error.advice}", level=logging.ERROR)
    return code


def _report_exception(error: Exception) -> int:
    """Report an exception that is not a ShardmillError: a limit of the machine, or a bug."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return _report_error(_translate(error, str(error.filename or "a file")))
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        # Writers report long names of outputs, so this is the name of an input.
        path = str(error.filename or "a path")
        return _report_error(InputNotFoundError("the name is too long for a file", path=path))
    exhausted = explain_exhaustion(error)
    return _report_bug(error) if exhausted is None else _report_error(exhausted)


def _translate(error: OSError, path: str, hint: str | None = None) -> ShardmillError:
    """Return the error that names the remedy for a failed write."""
    from records.storage.errors import HINT_FIX, translate_write_errors

    try:
        with translate_write_errors(path, hint=hint or HINT_FIX):
            raise error
    except ShardmillError as translated:
        return translated


def _report_bug(error: Exception) -> int:
    text = f"internal error, {type(error).__name__}: {error}; --verbose shows the traceback"
    return _report(text, _EXIT_BUG)


def _leave(code: int) -> NoReturn:
    """Exit without a final garbage collection, which takes 0.3 s with TensorFlow."""
    gc.freeze()
    sys.exit(code)


def _arguments() -> list[str]:
    """Return the arguments with the global options first: users often add them at the end."""
    arguments = sys.argv[1:]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    front: list[str] = []
    rest: list[str] = []
    given = iter(arguments[:end])
    for argument in given:
        if argument in {_LOG_FORMAT, _PATIENCE}:
            front += [argument, *islice(given, 1)]
        elif argument == _VERBOSE or argument.partition("=")[0] in {_LOG_FORMAT, _PATIENCE}:
            front.append(argument)
        else:
            rest.append(argument)
    return [*front, *rest, *arguments[end:]]


def _explain(error: click.ClickException) -> str:
    """Return click's error message on one line, with the command that shows the help."""
    text = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{text}; see `{context.command_path} --help`" if context else text


def _report(text: str, code: int, **fields: object) -> int:
    trace = _VERBOSE in sys.argv
    log_line(text, level=logging.ERROR, trace=trace, exit_code=code, **fields)
    return code


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(_EXIT_TERMINATED)
