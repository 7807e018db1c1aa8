"""Example program of an exported model, in its model card.

The program needs only NumPy, Pillow and the runtime of the format. It contains only the steps that
the images of the run need. For upright and opaque 8-bit JPEG and PNG files, its pixels are equal to
those of `predict`, bit for bit: it rounds as TensorFlow does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainers.export.formats import Program
    from trainers.export.preprocessing import Normalization, Preprocessing

_SCALE = '''
def scale(image, size, box):
    """Resize the part of an image in `box` to `size`."""
    if size[0] * image.height > max(image.width * image.height, size[0] * size[1]):
        rows_box = (0, box[1], image.width, box[3])
        image = image.resize((image.width, size[1]), Image.Resampling.BILINEAR, rows_box)
        box = (box[0], 0, box[2], size[1])
    return image.resize(size, Image.Resampling.BILINEAR, box)
'''

_FIT_INSIDE = '''
def fit_inside(width, height):
    """Return the largest size in the normalized image with this aspect ratio."""
    ratio = min({width} / width, {height} / height)
    return (
        min({width}, max(1, round(width * ratio))),
        min({height}, max(1, round(height * ratio))),
    )
'''

_FITS = {
    "stretch": """
    image = scale(image, ({width}, {height}), box)
""",
    "crop": """
    ratio = min(box[2] / {width}, box[3] / {height})
    left, top = (box[2] - {width} * ratio) / 2, (box[3] - {height} * ratio) / 2
    right, bottom = left + {width} * ratio, top + {height} * ratio
    inner = (max(0, left), max(0, top), min(box[2], right), min(box[3], bottom))
    image = scale(image, ({width}, {height}), inner)
""",
    "pad": """
    image = scale(image, fit_inside(*box[2:]), box)
    if image.mode == "L" and len(set({background})) > 1:
        image = image.convert("RGB")
    canvas = Image.new(image.mode, ({width}, {height}), {background}[: len(image.getbands())])
    canvas.paste(image, (({width} - image.width) // 2, ({height} - image.height) // 2))
    image = canvas
""",
}

_INTERPOLATE = '''
def interpolate(pixels, size):
    """Resize the first axis by linear interpolation."""
    places = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(len(pixels) / size) - 0.5
    lower = np.floor(places)
    first = pixels[lower.clip(0).astype(int)]
    second = pixels[(lower + 1).clip(max=len(pixels) - 1).astype(int)]
    return first + (second - first) * (places - lower)[:, np.newaxis, np.newaxis]
'''

_AVERAGE = '''
def average(pixels, size):
    """Resize the first axis with antialiasing, by weighted means."""
    last = len(pixels) - 1
    reach = np.float32(1) / np.float32(size / len(pixels))
    centers = (np.arange(size, dtype=np.float32) + 0.5) * reach
    begins = np.ceil(centers - reach - 0.5).clip(0, last).astype(int)
    ends = np.floor(centers + reach - 0.5).clip(0, last).astype(int)
    places = [begins + tap for tap in range((ends - begins).max() + 1)]
    scaled = [(place.astype(np.float32) + 0.5 - centers) * (1 / reach) for place in places]
    weights = [
        (1 - abs(distance)).clip(0) * (place <= ends)
        for place, distance in zip(places, scaled)
    ]
    unit = np.float32(1) / sum(weights)
    return sum(
        (weight * unit)[:, np.newaxis, np.newaxis] * pixels[place.clip(max=last)]
        for place, weight in zip(places, weights)
    )
'''

_RESIZES = {
    "interpolate": """
    pixels = interpolate(pixels.swapaxes(0, 1), {width}).swapaxes(0, 1)
    pixels = interpolate(pixels, {height})
""",
    "average": """
    pixels = average(pixels, {height})
    pixels = average(pixels.swapaxes(0, 1), {width}).swapaxes(0, 1)
""",
}

_LABELS = """
with open("labels.txt", encoding="utf-8") as file:
    labels = [line.rstrip("\\n").partition(":")[2] for line in file]
"""
_THRESHOLDS = """
with open("thresholds.json", encoding="utf-8") as file:
    thresholds = json.load(file)["thresholds"]
"""
_RESULTS = {
    "probabilities": """
    best = scores.argmax()
    print(path, labels[best], scores[best])
""",
    "independent probabilities": """
    rows = zip(labels, scores, thresholds)
    print(path, [label for label, score, least in rows if score >= least])
""",
    "value": """
    print(path, scores[0])
""",
}


def write_program(preprocessing: Preprocessing, program: Program) -> str:
    """Return a program that predicts the image files in its arguments, in the folder of the export.

    It defines `predict(path)`, which returns the outputs of the model for one file, float32
    (outputs,): in the order of the labels or, if the model receives files, the best class first.
    """
    if program.call is None:
        return "".join(_file_program(preprocessing, program))
    return "".join(_pixel_program(preprocessing, program, program.call)).lstrip("\n")


def _pixel_program(preprocessing: Preprocessing, program: Program, call: str) -> Iterator[str]:
    kind, normalization = preprocessing.output.kind, preprocessing.normalization
    standard = ["import io"] * _changes_files(normalization)
    standard += ["import json"] * (kind == "independent probabilities") + ["import sys"]
    packages = ["import numpy as np", "from PIL import Image", *program.imports]
    yield "\n".join([*standard, "", *sorted(packages, key=_module_of)]) + "\n\n"
    yield program.load + "\n"
    if kind != "value":
        yield _LABELS.lstrip("\n")
    if kind == "independent probabilities":
        yield _THRESHOLDS.lstrip("\n")
    yield from (f"\n{function}" for function in _functions(preprocessing))
    yield f'''

def predict(path):
    """Return the output of the model for an image file."""
    pixels = read_pixels(path)
    return {call.format(output=preprocessing.output.name)}
'''
    yield "\n\nfor path in sys.argv[1:]:\n    scores = predict(path)"
    yield _RESULTS[kind]


def _module_of(line: str) -> str:
    return line.split()[1].lower()


def _functions(preprocessing: Preprocessing) -> Iterator[str]:
    normalization, resizes = preprocessing.normalization, _used_resizes(preprocessing)
    if normalization.resize is not None:
        yield _SCALE
        if normalization.fit == "pad":
            width, height = normalization.resize
            yield _FIT_INSIDE.format(width=width, height=height)
    if _changes_files(normalization):
        yield "".join(_normalize(normalization))
    if "interpolate" in resizes:
        yield _INTERPOLATE
    if "average" in resizes:
        yield _AVERAGE
    yield "".join(_read_pixels(preprocessing, resizes))


def _changes_files(normalization: Normalization) -> bool:
    """Return whether some upright and opaque JPEG or PNG files are not stored unchanged."""
    plain = (normalization.resize, normalization.channels, normalization.store == "jpeg")
    return plain != (None, 3, False)


def _normalize(normalization: Normalization) -> Iterator[str]:
    yield '\ndef normalize(image):\n    """Change an image file as `shardmill convert` does."""\n'
    is_lossy = normalization.store in {"source", "jpeg"}
    if is_lossy:
        yield '    is_jpeg = image.format in ("JPEG", "MPO")\n'
        yield f"    if {' and '.join(_kept_if(normalization))}:\n        return image\n"
    if normalization.resize is not None:
        yield from _reduce(normalization)
    mode = '"L"' if normalization.channels == 1 else '"L" if image.mode in ("1", "L") else "RGB"'
    yield f"    image = image.convert({mode})\n"
    if normalization.resize is not None:
        width, height = normalization.resize
        background = tuple(bytes.fromhex(normalization.background))
        fitted = _FITS[normalization.fit].lstrip("\n")
        yield fitted.format(width=width, height=height, background=background)
        if normalization.fit == "pad" and normalization.channels == 1:
            yield '    image = image.convert("L")\n'
    if is_lossy:
        if normalization.store == "source":
            yield "    if not is_jpeg:\n        return image\n"
        yield "    content = io.BytesIO()\n"
        quality = normalization.jpeg_quality
        yield f'    image.save(content, "JPEG", quality={quality}, subsampling=0)\n'
        yield "    return Image.open(content)\n"
    else:
        yield "    return image\n"


def _kept_if(normalization: Normalization) -> Iterator[str]:
    """Yield the conditions under which a JPEG file is stored unchanged."""
    yield "is_jpeg"
    if normalization.resize is not None:
        yield f"image.size == {normalization.resize}"
    if normalization.channels == 1:
        yield 'image.mode == "L"'


def _reduce(normalization: Normalization) -> Iterator[str]:
    """Yield the lines that decode a large JPEG at a fraction of its size, and set its box."""
    if not normalization.scaled_decode:
        yield "    box = (0, 0, *image.size)\n"
        return
    width, height = normalization.resize or (0, 0)
    twice = f"({2 * width}, {2 * height})"
    if normalization.fit == "pad":
        yield "    twice = tuple(2 * side for side in fit_inside(*image.size))\n"
        twice = "twice"
    yield f"    _, box = image.draft(None, {twice}) or (None, (0, 0, *image.size))\n"


def _used_resizes(preprocessing: Preprocessing) -> set[str]:
    """Return the methods by which normalized images are resized to the size of the input."""
    shape, resize = preprocessing.input, preprocessing.normalization.resize
    antialias_from = preprocessing.resize.antialias_from
    if resize is None:
        return {"interpolate"} if antialias_from is None else {"average", "interpolate"}
    if resize == (shape.width_px, shape.height_px):
        return {"none"}
    larger = min(resize[0] // shape.width_px, resize[1] // shape.height_px)
    return {"interpolate" if antialias_from is None or larger < antialias_from else "average"}


def _read_pixels(preprocessing: Preprocessing, resizes: set[str]) -> Iterator[str]:
    shape, is_changed = preprocessing.input, _changes_files(preprocessing.normalization)
    size = {"width": shape.width_px, "height": shape.height_px}
    yield "\ndef read_pixels(path):\n"
    array = f"({shape.height_px}, {shape.width_px}, {shape.channels})"
    yield f'    """Return the pixels of an image file, uint8 {array}."""\n'
    yield f"    image = {'normalize(Image.open(path))' if is_changed else 'Image.open(path)'}\n"
    if len(resizes) > 1:
        yield "    larger = min(image.width // {width}, image.height // {height})\n".format(**size)
    if "average" in resizes:
        yield "    image.draft(None, ({width}, {height}))  # decodes a large JPEG faster\n".format(
            **size
        )
    mode = "RGB" if shape.channels == 3 else "L"
    decoded = f'np.asarray(image.convert("{mode}"))'
    if shape.channels == 1:
        decoded += "[:, :, np.newaxis]"
    if resizes == {"none"}:
        yield f"    return {decoded}\n"
        return
    yield f"    pixels = {decoded}.astype(np.float32)\n"
    if len(resizes) > 1:
        antialias_from = preprocessing.resize.antialias_from
        yield f"    if larger >= {antialias_from}:{_indent(_RESIZES['average'].format(**size))}"
        yield f"    else:{_indent(_RESIZES['interpolate'].format(**size))}"
    else:
        (method,) = resizes
        yield _RESIZES[method].format(**size).lstrip("\n")
    yield "    return np.rint(pixels).astype(np.uint8)\n"


def _indent(lines: str) -> str:
    return lines.replace("\n    ", "\n        ")


def _file_program(preprocessing: Preprocessing, program: Program) -> Iterator[str]:
    is_value = preprocessing.output.kind == "value"
    yield "\n".join(["import sys", "", *program.imports, "", program.load, "", ""])
    yield "\ndef predict(path):\n"
    summary = "the value" if is_value else "the classes, the best first, and their scores"
    yield f'    """Return {summary} for an image file."""\n'
    yield '    with open(path, "rb") as file:\n'
    yield "        files = tf.constant([file.read()])\n"
    yield '    answer = model.signatures["serving_default"](image=files)\n'
    if is_value:
        yield '    return answer["value"].numpy()\n'
        yield "\n\nfor path in sys.argv[1:]:\n    print(path, predict(path)[0])\n"
        return
    yield '    return answer["classes"][0].numpy(), answer["scores"][0].numpy()\n'
    yield "\n\nfor path in sys.argv[1:]:\n    classes, scores = predict(path)\n"
    yield "    print(path, classes[0].decode(), scores[0])\n"
