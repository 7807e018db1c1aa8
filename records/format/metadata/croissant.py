"""Croissant metadata: `croissant.json`.

    dataset = mlcroissant.Dataset("data/croissant.json")
    dataset.records("records")

Croissant is the vocabulary of MLCommons for datasets, in JSON-LD. The file follows from the
manifest, so equal datasets have equal files.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from records.format.layout import CROISSANT
from records.format.metadata.croissant_files import make_distribution
from records.format.metadata.croissant_records import make_record_sets
from records.format.metadata.description import Description
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from records.format.manifest import Manifest

Json = dict[str, Any]

_VERSION = "http://mlcommons.org/croissant/1.1"
_PROPERTIES = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field",
    "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset",
    "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
_CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
} | {name: f"cr:{name}" for name in _PROPERTIES}
"""The context of the specification, which readers compare with that of the file."""


def croissant_files(manifest: Manifest) -> dict[str, bytes]:
    """Return `croissant.json` by its name; nothing if it existed before `adopt`."""
    if manifest.adopted is not None and CROISSANT in manifest.adopted.preexisting:
        return {}
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _VERSION,
        **_describe(manifest),
        "version": f"{manifest.generations[-1].number}.0.0",
        "distribution": make_distribution(manifest),
        "recordSet": make_record_sets(manifest),
    }
    content = json.dumps(document, ensure_ascii=False, indent=1)
    return {CROISSANT: f"{content}\n".encode()}


def _describe(manifest: Manifest) -> Json:
    """Return the properties of the description; name and description are mandatory."""
    given = manifest.description or Description()
    images = pluralize(sum(info.records for info in manifest.splits.values()), "image")
    classes = pluralize(len(manifest.labels), "class")
    properties = {
        "name": given.name or "shardmill-dataset",
        "description": given.description or f"{images} in {classes}, in TFRecord files",
        "license": given.license,
        "citeAs": given.citation,
        "creator": [{"@type": "sc:Person", "name": name} for name in given.creators],
        "publisher": given.publisher and {"@type": "sc:Organization", "name": given.publisher},
        "url": given.url,
        "keywords": given.keywords,
        "inLanguage": given.languages,
        "datePublished": given.published and given.published.isoformat(),
        "rai:dataLimitations": given.limitations,
    }
    return {name: value for name, value in properties.items() if value}
