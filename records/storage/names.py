"""Names of shardmill's own files in a storage folder."""

WORK_FOLDER = ".shardmill"
"""The state of an unfinished run: its plan, its lock, its staged files. Removed when it ends."""
LEASE = f"{WORK_FOLDER}/lease.json"
"""The lock of a folder on an object store."""
