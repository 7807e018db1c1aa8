"""Lists of source files that a generation does not store."""

from __future__ import annotations

from typing import NamedTuple

from pipelines.run import Run
from pipelines.writing.results import ConversionResult
from records.format import layout
from records.format.digest import FileDigest, digest_of
from records.format.edits import RELABELLED, REMOVED
from records.format.rejects import encode_rejects
from records.format.skipped import encode_skipped, write_skipped


class SourceLists(NamedTuple):
    """The lists of a generation.

    Attributes:
        contents: the content of each list, by the name of its file, without those already written.
        digests: the digest of each list, by the name of its file.
    """

    contents: dict[str, bytes]
    digests: dict[str, FileDigest]


def make_lists(run: Run, result: ConversionResult) -> SourceLists:
    """Return the lists of a run, and write a list that may be too long for the memory.

    Raises:
        OutputError, StorageError: a list cannot be written, or a file of the user has its name.
    """
    sources, number = run.sources, run.plan.generation
    contents = {layout.generation_path(layout.REJECTS, number): encode_rejects(result.rejects)}
    if sources.removed:
        contents[REMOVED.path(number)] = REMOVED.encode(sources.removed)
    if sources.relabelled:
        contents[RELABELLED.path(number)] = RELABELLED.encode(sources.relabelled)
    skipped = layout.generation_path(layout.SKIPPED, number)
    written: dict[str, FileDigest] = {}
    if (encoded := encode_skipped(sources.left_out)) is None:
        written[skipped] = write_skipped(run.output, skipped, sources.left_out)
    else:
        contents[skipped] = encoded
    digests = {name: digest_of(content) for name, content in contents.items()}
    return SourceLists(contents, digests | written)
