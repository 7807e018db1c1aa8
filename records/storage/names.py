"""Names of shardmill's own files in a storage folder."""

WORK_FOLDER = ".shardmill"
"""The folder of the plan, lock and staged files of an unfinished run; removed when the run ends."""
LEASE = f"{WORK_FOLDER}/lease.json"
"""The lock of a folder on an object store."""
