"""Writing of records to the files of other formats.

`records.exchange.formats` lists the formats. The module of a format writes one file from records,
and the files that describe all of them. The same records give the same bytes.
"""

from records.exchange.formats import FORMATS, ExportFormat

__all__ = ["FORMATS", "ExportFormat"]
