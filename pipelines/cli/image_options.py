"""Options of `convert` for the stored and the rejected images."""

from __future__ import annotations

from typing import Any

import click

from records.cli.option_groups import option_group
from records.cli.params import Fraction


def _parse_size(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    """Parse `224` as 224×224, and `320x240` as width by height."""
    if text is None:
        return None
    width, separator, height = text.lower().partition("x")
    if not width.isdigit() or (separator and not height.isdigit()):
        raise click.BadParameter("must be N or WxH in pixels, such as 224 or 320x240")
    return int(width), int(height if separator else width)


image_options = option_group(
    "Images",
    click.option(
        "--resize",
        callback=_parse_size,
        metavar="N|WxH",
        help="Resize images to this size in pixels.",
    ),
    click.option(
        "--fit",
        type=click.Choice(["stretch", "crop", "pad"]),
        default="stretch",
        show_default=True,
        help="How --resize treats images whose aspect ratio differs from WxH.",
    ),
    click.option(
        "--store",
        type=click.Choice(["source", "jpeg", "png", "raw", "mixed"]),
        default="source",
        show_default=True,
        help="Format of stored images; source: JPEG stays JPEG, other formats become PNG; "
        "mixed: a part as raw, the others as source.",
    ),
    click.option(
        "--raw-share",
        type=Fraction(),
        metavar="F",
        help="Fraction of the images that --store mixed stores as raw.  [default: 0.3]",
    ),
    click.option(
        "--channels",
        type=click.Choice(["3", "1"]),
        default="3",
        show_default=True,
        help="3: colour images stay RGB, and grey images stay grey (RGB with --store raw); 1: all "
        "images become grey.",
    ),
    click.option(
        "--jpeg-quality",
        type=int,
        default=95,
        show_default=True,
        metavar="1-100",
        help="Quality of images that are encoded as JPEG.",
    ),
    click.option(
        "--background",
        default="FFFFFF",
        show_default=True,
        metavar="RRGGBB",
        help="Colour of transparent pixels and padding.",
    ),
    click.option(
        "--check",
        type=click.Choice(["header", "decode"]),
        default="decode",
        show_default=True,
        help="decode: decode every image; header: decode only images that are re-encoded.",
    ),
    click.option(
        "--quality",
        is_flag=True,
        help="Also measure the images for the command quality, in the decode that checks them.",
    ),
    click.option(
        "--max-pixels",
        type=int,
        default=100_000_000,
        show_default=True,
        metavar="N",
        help="Reject images with more than N pixels, according to their header.",
    ),
    click.option(
        "--max-file-mb",
        type=int,
        metavar="MB",
        help="Reject files with more than MB megabytes, without reading them.  [default: 1000]",
    ),
    click.option(
        "--image-timeout",
        type=int,
        metavar="S",
        help="Reject images that take more than S seconds to decode.  [default: 60]",
    ),
    click.option(
        "--max-rejects",
        type=Fraction(zero=True, or_count=True),
        metavar="F|N",
        help="Maximum fraction or number of rejected images.  [default: 0.01, at least 10 images]",
    ),
    click.option(
        "--quarantine",
        is_flag=True,
        help="If more images are rejected, publish the others, and end with exit code 1.",
    ),
)
