"""Names of shardmill's own files in a storage folder."""

WORK_FOLDER = ".shardmill"
"""State of an unfinished run: its plan, its lock, its staged files. Removed when the run ends."""
LEASE = f"{WORK_FOLDER}/lease.json"
"""The holder of the lock of a folder on an object store."""
