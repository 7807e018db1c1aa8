"""The command `export`."""

from __future__ import annotations

import os

import click

from records.text.escaping import escape_for_display
from trainers.cli import output
from trainers.export.formats import FORMATS

_EXAMPLES = """\b
Examples:
  shardmill export run/ exported/
  shardmill export run/ served/1/ --format saved_model
"""


@click.command(epilog=_EXAMPLES)
@click.argument("run")
@click.argument("out")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="keras",
    show_default=True,
    help="Keras's own file, a SavedModel that takes image files, or ONNX.",
)
def export(run: str, out: str, form: str) -> None:
    """Write the model of RUN to the new folder OUT, for use where shardmill is not."""
    from trainers.export.export import require_empty_folder
    from trainers.export.formats import require_converter
    from trainers.runs.run_dir import open_run

    opened = open_run(run)
    require_empty_folder(out)
    require_converter(form)
    output.note_unfinished(opened)
    # Whatever a run was trained on: its weights are the same, and TensorFlow writes all formats.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    output.start_backend(output.ignore)

    from trainers.export.export import export as export_run

    path = export_run(opened, out, form)
    click.echo(escape_for_display(FORMATS[form].use.format(out=str(path))))
