"""The command `export`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from records.cli.output import json_option, print_json, print_text
from records.cli.params import Location
from records.errors import UsageError
from records.storage import local_path, redact_url
from records.text.escaping import escape_surrogates
from trainers.cli import output
from trainers.cli.options import run_model_option
from trainers.export.formats import FORMATS

if TYPE_CHECKING:
    from trainers.export.formats import ExportPrecision
    from trainers.options import KeptWeights

_EXAMPLES = """\b
Examples:
  shardmill export run/ exported/
  shardmill export run/ served/1/ --format saved_model
  shardmill export s3://photos/run s3://photos/served/1 --format saved_model
  shardmill export run/ phone/ --format litert --int8

Exit codes: 0 done, 66 run or dataset not found, or damaged, 73 OUTPUT exists or
cannot be written, 74 storage failed, 75 OUTPUT in use by another process.
"""


@click.command(epilog=_EXAMPLES)
@click.argument("run", type=Location())
@click.argument("out", metavar="OUTPUT", type=Location())
@run_model_option
@output.weights_option
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="keras",
    show_default=True,
    help="Format: a Keras file, a SavedModel that accepts image files, ONNX, LiteRT or OpenVINO.",
)
@click.option("--float16", is_flag=True, help="Store the weights of a LiteRT model as float16.")
@click.option(
    "--int8", is_flag=True, help="Quantize the weights and activations of a LiteRT model to int8."
)
@click.option(
    "--calibrate",
    type=Location(),
    metavar="DATASET",
    help="Dataset of images from which --int8 determines the ranges of the values, and on whose "
    "split test the result is compared with RUN; by default the dataset of RUN.",
)
@json_option
def export(
    run: str,
    out: str,
    form: str,
    *,
    model: str | None,
    weights: KeptWeights,
    float16: bool,
    int8: bool,
    calibrate: str | None,
    as_json: bool,
) -> None:
    """Write the model of RUN to the new folder OUTPUT, for use without shardmill.

    OUTPUT also contains a model card with an example program, README.md.

    RUN, OUTPUT and DATASET may be URLs (s3://, gs://, …).
    """
    from trainers.export.export import plan_export, write_export

    # Weights do not depend on the backend, and only TensorFlow writes all formats.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    precision = _precision(float16=float16, int8=int8)
    opened = output.open_run(run, model, weights)
    plan = plan_export(opened, out, form, precision, calibrate)
    output.note_unfinished(opened)
    for note in () if plan.quantization is None else plan.quantization.notes:
        output.log(note)
    output.start_backend(output.ignore)
    agreement = write_export(plan)
    written = escape_surrogates(redact_url(out))
    folder = local_path(written)
    if folder is None:  # Keras and ONNX Runtime open local files
        folder = written.rstrip("/").rpartition("/")[2]
        output.log(f"wrote {written}; to load the model, copy it to the folder {folder}")
    for line in () if agreement is None else agreement.lines():
        output.log(line)
    use = FORMATS[form].use.format(out=folder.rstrip("/") or "/")
    if as_json:
        print_json(
            {
                "output": written,
                "format": form,
                "precision": precision,
                "use": use,
                "agreement": agreement,
            }
        )
    else:
        print_text(use)


def _precision(*, float16: bool, int8: bool) -> ExportPrecision:
    if float16 and int8:
        raise UsageError("--float16 and --int8 cannot be used together")
    return "int8" if int8 else "float16" if float16 else "float32"
