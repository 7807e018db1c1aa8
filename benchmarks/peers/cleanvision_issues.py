"""Issues that CleanVision finds: `cleanvision_issues.py FOLDER`.

The program prints a JSON object: for each issue, the paths of the images relative to FOLDER.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

from cleanvision import Imagelab


def main(folder: Path) -> None:
    """Search all images with the default settings, without the search for duplicates."""
    with contextlib.redirect_stdout(io.StringIO()):
        lab = Imagelab(data_path=str(folder))
        names = ("dark", "light", "low_information", "blurry", "grayscale", "odd_size")
        lab.find_issues({name: {} for name in (*names, "odd_aspect_ratio")}, n_jobs=1)
    found = {
        column.removeprefix("is_").removesuffix("_issue"): [
            Path(path).relative_to(folder).as_posix()
            for path in lab.issues.index[lab.issues[column]]
        ]
        for column in lab.issues.columns
        if column.startswith("is_")
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
