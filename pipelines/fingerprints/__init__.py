"""Fingerprints of source files and stored files, saved for later runs."""

from pipelines.fingerprints.files import (
    MOST_STORED_FILES,
    SavedFiles,
    add_stored,
    copy_fingerprints,
    forget_fingerprints,
    read_fingerprints,
    read_saved,
    save_fingerprints,
)
from pipelines.fingerprints.stored import (
    STORED,
    StoredFiles,
    digest_labelling,
    digest_labels,
    join_stored,
    list_stored,
    split_complete,
)

__all__ = [
    "MOST_STORED_FILES",
    "STORED",
    "SavedFiles",
    "StoredFiles",
    "add_stored",
    "copy_fingerprints",
    "digest_labelling",
    "digest_labels",
    "forget_fingerprints",
    "join_stored",
    "list_stored",
    "read_fingerprints",
    "read_saved",
    "save_fingerprints",
    "split_complete",
]
