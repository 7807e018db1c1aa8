"""Model card of an export, `README.md`, with a header for Hugging Face.

The card follows from the run, the format and, if the export was checked on images, the agreement.
If the dataset of the run is a local folder that has not changed, the card has its counts, too.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from records.dataset import open_dataset
from records.errors import ShardmillError
from records.format.digest import digest_of
from records.format.metadata.card import count_tables
from records.format.metadata.description import Description
from records.storage import local_path
from records.text.formatting import pluralize
from records.text.markdown import code, fenced, inline, table
from records.version import __version__
from trainers.export.formats import FORMATS, ExportPrecision, Program
from trainers.export.preprocessing import PREPROCESSING, describe_preprocessing
from trainers.export.sample_code import write_program
from trainers.runs.result import read_result
from trainers.runs.thresholds import find_reject_below

if TYPE_CHECKING:
    from records.format.manifest import Manifest
    from trainers.export.agreement import Agreement
    from trainers.export.preprocessing import Preprocessing
    from trainers.runs.run_dir import Run

_SITE = "https://shardmill.github.io/shardmill/"
_WEIGHTS: dict[ExportPrecision, str] = {
    "float32": "",
    "float16": " Its weights are float16.",
    "int8": " It is quantized to int8.",
}
_TOLERANCES: dict[ExportPrecision, str] = {
    "float32": "1e-5",
    "float16": "the precision of float16",
    "int8": "the quantization",
}
_CATEGORIES = {"classification": "image-classification", "multi-label": "image-classification"}
_TASKS = {
    "classification": "It predicts one of {classes} for each image.",
    "multi-label": "It predicts any number of {classes} for each image.",
    "regression": "It predicts a number for each image: {target}.",
}
_OUTPUTS = {
    "probabilities": "the probability of each class, in the order of `labels.txt`; they add up "
    "to 1",
    "independent probabilities": "the probability of each class, in the order of `labels.txt`; a "
    "class is predicted if its probability is at least its threshold in `thresholds.json`",
    "value": "the number, in the unit of its column",
}


def make_model_card(
    run: Run, name: str, precision: ExportPrecision = "float32", agreement: Agreement | None = None
) -> bytes:
    """Return the card of an export.

    Args:
        run: the run.
        name: the name of the format.
        precision: the precision of the exported model.
        agreement: the differences between the exported model and the run, if they were measured.
    """
    preprocessing = describe_preprocessing(run.config, FORMATS[name].batch)
    parts = [
        _header(run, name),
        _introduction(run, name, precision),
        _usage(preprocessing, FORMATS[name].program_of(run.config)),
        _signature(preprocessing, name),
        _data(run, find_manifest(run)),
        _figures(run, agreement),
        _limits(run, name, precision, preprocessing),
        _provenance(run),
    ]
    return ("\n\n".join(parts) + "\n").encode("utf-8", "backslashreplace")


def find_manifest(run: Run) -> Manifest | None:
    """Return the manifest of the dataset of a run; None if it is remote, lost or changed."""
    path = local_path(run.config.dataset)
    if path is None:
        return None
    try:
        manifest = open_dataset(path).manifest
    except (ShardmillError, OSError):
        return None
    digests = tuple(part.plan_digest for part in manifest.generations)
    return manifest if digests == run.config.plan_digests else None


def _header(run: Run, name: str) -> str:
    lines = [f'library_name: "{name}"']
    if run.config.task in _CATEGORIES:
        lines.append(f'pipeline_tag: "{_CATEGORIES[run.config.task]}"')
    return "\n".join(["---", *lines, "tags:", '- "shardmill"', f'- "{name}"', "---"])


def _introduction(run: Run, name: str, precision: ExportPrecision) -> str:
    model, config = run.config.architecture.model, run.config
    task = _TASKS[config.task].format(
        classes=pluralize(len(run.labels), "class"), target=inline(run.target or "")
    )
    program = f"[shardmill]({_SITE}) {__version__}"
    return "\n".join(
        [
            f"# {inline(model)} as {FORMATS[name].title}",
            "",
            f"A model that {program} trained and exported.",
            f"{task}{_WEIGHTS[precision]}",
        ]
    )


def _usage(preprocessing: Preprocessing, program: Program) -> str:
    packages = program.packages if program.call is None else f"numpy pillow {program.packages}"
    return "\n".join(
        [
            "## Use the model",
            "",
            "Install the packages, save the program in this folder, and run it with image files:",
            "",
            *fenced(f"$ pip install {packages}", "console"),
            "",
            *fenced(write_program(preprocessing, program), "python"),
        ]
    )


def _signature(preprocessing: Preprocessing, name: str) -> str:
    shape, output = preprocessing.input, preprocessing.output
    batch = "batch" if shape.batch is None else str(shape.batch)
    colours = "red, green, blue" if shape.channels == 3 else "grey"
    size = f"({batch}, {shape.height_px}, {shape.width_px}, {shape.channels})"
    rows = [
        ("input", code(shape.name), f"uint8 {size}", f"pixels from 0 to 255, {colours}"),
        ("output", code(output.name), f"float32 ({batch}, {output.size})", _OUTPUTS[output.kind]),
    ]
    lines = [
        "## Input and output",
        "",
        *table(["", "name", "type", "content"], rows, right=False),
        "",
        f"The model itself scales the pixels. `{PREPROCESSING}` describes how to prepare them.",
    ]
    if FORMATS[name].program.call is None:
        lines += [
            "",
            (
                "This table describes the signature `pixels`, which returns all classes with their "
                "scores, the best first. The default one, `serving_default`, takes image files."
            ),
        ]
    return "\n".join(lines)


def _data(run: Run, manifest: Manifest | None) -> str:
    lines = ["## Data", "", f"Trained on the dataset {code(_dataset_name(run))}."]
    result = read_result(run)
    if result is not None:
        trained = pluralize(result.training_images, "image")
        validated = pluralize(result.validation_images, "image")
        lines.append(f"Training used {trained}, and validation {validated}.")
    if manifest is None:
        return "\n".join(lines)
    given = manifest.description or Description()
    facts = [("Name", given.name), ("Licence", given.license), ("Page", given.url)]
    lines += [f"- {title}: {inline(value)}" for title, value in facts if value]
    return "\n".join([*lines, "", *count_tables(manifest, "`labels.txt` has")])


def _figures(run: Run, agreement: Agreement | None) -> str:
    result = read_result(run)
    found = ["The run is not finished, so it has no figures."]
    if result is not None:
        of = "the run"
        if run.weights == "last":
            of = f"epoch {result.weights_epoch}; the model is that of epoch {result.epochs}"
        found = [f"Of {of}: {result.summary()}."]
        if result.accuracy is not None:
            found = [f"{found[0]} Training accuracy is measured during training."]
    if agreement is not None:
        found += [f"{line[0].upper()}{line[1:]}." for line in agreement.lines()]
    return "\n".join(["## Figures", "", *(f"- {line}" for line in found)])


def _limits(run: Run, name: str, precision: ExportPrecision, preprocessing: Preprocessing) -> str:
    background = preprocessing.normalization.background
    limits = [
        (
            "For upright, opaque 8-bit JPEG and PNG files, grey or RGB, the outputs equal those of "
            f"`shardmill predict` to within {_TOLERANCES[precision]}. Turn other files upright, "
            f"and blend them with the colour {background}, before you pass them to the model."
        ),
        _unknown_images(run),
    ]
    if run.target is None:
        limits.append(
            "A score is the probability that a prediction is right only if the model is calibrated."
        )
    if precision == "int8":
        scores = "" if run.target else " Scores are multiples of 1/256."
        limits.append(f"Values outside the range of the representative images are clipped.{scores}")
    if FORMATS[name].batch == 1:
        limits.append("Each call takes one image.")
    result = read_result(run)
    if result is not None and result.damaged_records:
        limits.append(f"Training skipped {pluralize(result.damaged_records, 'damaged record')}.")
    return "\n".join(["## Limits", "", *(f"- {line}" for line in limits)])


def _provenance(run: Run) -> str:
    rows = [(title, inline(text)) for title, text in describe_provenance(run).items()]
    return "\n".join(["## Provenance", "", *table(["fact", "value"], rows, right=False)])


def _dataset_name(run: Run) -> str:
    """Return the URL of the dataset of a run, or the name of its folder: its path is private."""
    dataset = run.config.dataset
    return dataset if local_path(dataset) is None else dataset.rstrip("/").rpartition("/")[2]


def describe_provenance(run: Run) -> dict[str, str]:
    """Return facts about the origin of the model of a run: texts by name."""
    config = run.config
    return {
        "model": config.architecture.model,
        "mode": config.options.mode,
        "seed": str(config.options.seed),
        "dataset": _dataset_name(run),
        "dataset plans": " ".join(config.plan_digests),
        "weights SHA-256": digest_of(run.read(run.weights_file)).sha256,
        "shardmill": __version__,
        "Keras": version("keras"),
        "TensorFlow": version("tensorflow"),
    }


def _unknown_images(run: Run) -> str:
    text = "The model has seen only images like those of its dataset. "
    score = find_reject_below(run)
    if score is None:
        return text + "It does not notice images of other kinds."
    return text + (
        "It notices images of other kinds only by their scores: 95 % of the validation images have "
        f"a highest score of at least {score:.3g}."
    )
