"""All of them, one after the other: `make bench`."""

from __future__ import annotations

import subprocess
import sys

for name in ("convert", "input_pipeline"):
    print(f"== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
