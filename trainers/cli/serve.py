"""The command `serve`."""

from __future__ import annotations

import logging

import click

from records.arguments import Positive
from records.cli.option_groups import GroupedCommand, option_group
from records.cli.output import json_option, print_result
from records.cli.params import Count, Location, PositiveNumber
from records.runtime.extras import check_extra
from records.runtime.logging import log_line
from records.text.formatting import pluralize
from trainers.cli import output
from trainers.cli.options import run_model_option
from trainers.options import KeptWeights, RejectBelow

_EXAMPLES = """\b
Examples:
  shardmill serve run/
  shardmill serve s3://bucket/run --host 0.0.0.0 --port 80 --log-format json
  curl --data-binary @photo.jpg http://127.0.0.1:8000/v1/predict?top_k=3

Exit codes: 0 stopped by SIGTERM or Ctrl-C, after all accepted requests were
answered, 1 stopped before some were answered, 2 usage error, 66 run not found, or
damaged, 74 storage failed, 75 another program uses the port, 130 and 143
interrupted twice, or before the start.
"""
_UNANSWERED = 1


@click.command(cls=GroupedCommand, epilog=_EXAMPLES)
@click.argument("run", type=Location())
@option_group(
    "Address",
    click.option(
        "--host",
        default="127.0.0.1",
        show_default=True,
        metavar="HOST",
        help="Interface to listen on; 0.0.0.0 is all interfaces.",
    ),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=8000,
        show_default=True,
        metavar="N",
        help="TCP port; 0 is any free port.",
    ),
    click.option(
        "--name",
        metavar="NAME",
        help="Name of the model in addresses of the V2 protocol.  [default: the name of RUN]",
    ),
)
@option_group(
    "Limits",
    click.option(
        "--max-upload-mb",
        type=PositiveNumber(),
        default=20.0,
        show_default=True,
        metavar="MB",
        help="Maximum size of the body of a request.",
    ),
    click.option(
        "--upload-seconds",
        type=PositiveNumber(),
        default=30.0,
        show_default=True,
        metavar="S",
        help="Time in which the body of a request must arrive.",
    ),
    click.option(
        "--max-queue",
        type=Count(Positive),
        default=128,
        show_default=True,
        metavar="N",
        help="Maximum number of images that wait; requests with more get status 503.",
    ),
    click.option(
        "--max-pixels",
        type=Count(Positive),
        metavar="N",
        help="Maximum number of pixels of an image.  [default: that of the dataset]",
    ),
)
@run_model_option
@output.weights_option
@output.reject_below_option
@json_option
@click.pass_context
def serve(
    context: click.Context,
    run: str,
    *,
    host: str,
    port: int,
    name: str | None,
    max_upload_mb: float,
    upload_seconds: float,
    max_queue: int,
    max_pixels: int | None,
    model: str | None,
    weights: KeptWeights,
    reject_below: RejectBelow | None,
    as_json: bool,
) -> None:
    """Serve the predictions of RUN over HTTP, until a signal stops the server.

    The server has a REST interface (POST /v1/predict), the V2 protocol of KServe (/v2), health
    (/healthz, /readyz), metrics for Prometheus (/metrics), and a page on which you can drop
    pictures (/). RUN may also be a URL. The server has no users and no encryption: in an open
    network, run it behind a proxy.
    """
    for package in ("starlette", "uvicorn", "python_multipart", "prometheus_client"):
        check_extra(package, "serve")
    from records.arguments import build_options
    from trainers.serving.app import load_model
    from trainers.serving.limits import Limits
    from trainers.serving.server import listen, run_server

    limits = build_options(
        Limits,
        {
            "max_upload_mb": max_upload_mb,
            "upload_seconds": upload_seconds,
            "max_queue": max_queue,
            "max_pixels": max_pixels,
        },
    )
    opened = output.open_run(run, model, weights)
    output.note_unfinished(opened)
    with listen(host, port) as listener:
        output.start_backend(output.log)
        state = load_model(opened, name, limits, reject_below)

        def report(url: str) -> None:
            result = {"url": url, "name": state.model.name}
            print_result(result, [f"serving {state.model.name} at {url}"], as_json=as_json)

        unanswered = run_server(state, listener, report)
    if unanswered:
        log_line(
            f"ended before {pluralize(unanswered, 'request')} got an answer", level=logging.WARNING
        )
        context.exit(_UNANSWERED)
