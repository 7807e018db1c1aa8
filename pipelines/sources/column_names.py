"""Well-known names of columns, by role."""

from __future__ import annotations

import re

# Names are compared without case, blanks and punctuation. The names of one set have equal rank; a
# set counts only if the list has no column of the sets before it.
ALIASES: dict[str, tuple[frozenset[str], ...]] = {
    "path": (
        frozenset((
            "path", "paths", "file", "files", "filename", "filenames", "filepath", "filepaths",
            "fname", "image", "images", "img", "imagepath", "imagepaths", "imgpath", "imagefile",
            "imgfile", "imagefilename", "imagefilepath", "imagename", "imgname", "imageuri",
            "imageurl", "imagegcsuri", "gcsuri", "gcspath", "uri", "url", "photo", "picture",
            "relpath", "relativepath", "imageindex", "sourceref",
        )),
        frozenset((
            "id", "ids", "idcode", "imageid", "imgid", "photoid", "pictureid", "isicid", "uid",
            "uuid", "key",
        )),
        frozenset(("name",)),
    ),
    "label": (
        frozenset((
            "label", "labels", "class", "classes", "classname", "classlabel", "category",
            "categories", "categoryname", "target", "diagnosis", "dx", "labelname", "breed",
            "species", "tag", "tags", "choice", "y", "groundtruth", "findinglabels", "displayname",
        )),
        frozenset((
            "classid", "classidx", "classindex", "categoryid", "labelid", "labelidx", "labelindex",
        )),
    ),
    "split": (
        frozenset((
            "split", "splits", "subset", "set", "datasplit", "splitname", "partition", "mluse",
        )),
    ),
    "group": (frozenset(("group", "groupid", "patient", "patientid", "subjectid")),),
}  # fmt: skip
_INDEX = re.compile(r"|index|unnamed\d*")
"""Columns that pandas adds: without a name, `index`, `Unnamed: 0`."""


def plain_name(name: str) -> str:
    """Return the name of a column without case, blanks and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold())


def plain_last_part(name: str) -> str | None:
    """Return the plain name of a field of a JSON object in a column; None for other columns.

    The name of such a column is `classificationAnnotation.displayName`.
    """
    _, dot, field = name.partition(".")
    return plain_name(re.split(r"[./]", field)[-1]) if dot else None


def is_index(plain: str) -> bool:
    """Return whether a plain name is that of a column that pandas adds."""
    return _INDEX.fullmatch(plain) is not None


def is_same_name(first: str, second: str) -> bool:
    """Return whether two column names differ only by case, blanks and punctuation."""
    return plain_name(first) == plain_name(second)


def may_have_role(name: str, role: str | None = None) -> bool:
    """Return whether a column can have a role by its name, or is an index of pandas.

    Args:
        name: the name of the column.
        role: the role: `path`, `label`, `split` or `group`; any role, or an index, if None.
    """
    plain = plain_name(name)
    if role is None and is_index(plain):
        return True
    roles = ALIASES if role is None else (role,)
    return any(plain in names for each in roles for names in ALIASES[each])
