"""The command `export`."""

from __future__ import annotations

import os

import click

from records.cli.output import json_option, print_json, print_text
from records.cli.params import Location
from records.storage import local_path, redact_url
from records.text.escaping import escape_surrogates
from trainers.cli import output
from trainers.cli.options import run_model_option
from trainers.export.formats import FORMATS

_EXAMPLES = """\b
Examples:
  shardmill export run/ exported/
  shardmill export run/ served/1/ --format saved_model
  shardmill export s3://photos/run s3://photos/served/1 --format saved_model

Exit codes: 0 done, 66 run not found, or damaged, 73 OUTPUT exists or cannot be
written, 74 storage failed, 75 OUTPUT in use by another process.
"""


@click.command(epilog=_EXAMPLES)
@click.argument("run", type=Location())
@click.argument("out", metavar="OUTPUT", type=Location())
@run_model_option
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="keras",
    show_default=True,
    help="Format: a Keras file, a SavedModel that accepts image files, or ONNX.",
)
@json_option
def export(run: str, out: str, form: str, *, model: str | None, as_json: bool) -> None:
    """Write the model of RUN to the new folder OUTPUT, for use without shardmill.

    RUN and OUTPUT may be URLs (s3://, gs://, …).
    """
    from trainers.export.export import require_empty_folder
    from trainers.export.formats import require_converter

    # Weights do not depend on the backend, and only TensorFlow writes all formats.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    opened = output.open_run(run, model)
    require_empty_folder(out, last=FORMATS[form].model)
    require_converter(form)
    output.note_unfinished(opened)
    output.start_backend(output.ignore)

    from trainers.export.export import export as export_run

    export_run(opened, out, form)
    written = escape_surrogates(redact_url(out))
    folder = local_path(written)
    if folder is None:  # Keras and ONNX Runtime open local files
        folder = written.rstrip("/").rpartition("/")[2]
        output.log(f"wrote {written}; to load the model, copy it to the folder {folder}")
    use = FORMATS[form].use.format(out=folder)
    if as_json:
        print_json({"output": written, "format": form, "use": use})
    else:
        print_text(use)
