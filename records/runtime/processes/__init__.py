"""Child processes that call a function for each item."""

from records.runtime.processes.division import Division, divide_cpus
from records.runtime.processes.pool import ProcessPool, process_map

__all__ = ["Division", "ProcessPool", "divide_cpus", "process_map"]
