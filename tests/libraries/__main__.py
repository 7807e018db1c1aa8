"""Creation of environments with other libraries: `python -m tests.libraries [NAME …]`."""

from __future__ import annotations

import sys

from tests.libraries.environments import LIBRARIES, make_environment

for name in sys.argv[1:] or sorted(LIBRARIES):
    make_environment(name)
