"""Names that belong to shardmill, a volume or an operating system."""

import re

WORK_FOLDER = ".shardmill"
"""The folder of the plan, lock and staged files of an unfinished run; removed when the run ends."""
RUN_PLAN = f"{WORK_FOLDER}/plan.json"
"""The identity of an unfinished run, with its command and the names of its shards."""
LEASE = f"{WORK_FOLDER}/lease.json"
"""The lock of a folder on an object store."""
LOCK = f"{WORK_FOLDER}/lock"
"""The file that the writer of a local folder locks; it exists until the lock is released."""

_SYSTEM_NAMES = frozenset(
    name.lower()
    for names in (
        # File systems and volumes.
        ("lost+found", "aquota.user", "aquota.group", ".snapshot", ".snapshots", ".zfs", ".lustre"),
        # Storage appliances: Synology, QNAP, NetApp, Netatalk.
        ("@eaDir", "@tmp", "@sharebin", "#recycle", "#snapshot", "@Recycle", ".@__thumb"),
        ("@Recently-Snapshot", "~snapshot", "Network Trash Folder", "Temporary Items"),
        ("TheVolumeSettingsFolder",),
        # Windows.
        ("System Volume Information", "$RECYCLE.BIN", "desktop.ini", "Thumbs.db", "ehthumbs.db"),
        ("ehthumbs_vista.db",),
        # macOS.
        (".DS_Store", ".Spotlight-V100", ".fseventsd", ".Trashes", ".TemporaryItems", ".apdisk"),
        (".DocumentRevisions-V100", ".VolumeIcon.icns", ".localized", "Icon\r", "__MACOSX"),
        (".com.apple.timemachine.donotpresent", ".AppleDouble", ".metadata_never_index"),
        # Linux desktops, notebooks.
        (".directory", ".ipynb_checkpoints"),
    )
    for name in names
)
_SYSTEM_PATTERN = re.compile(r"\.trash(-\d+)?|\.nfs[0-9a-f]+|\._.+|found\.\d{3}", re.DOTALL)
_SYSTEM_PREFIXES = (".", "found.")


def is_system_name(name: str | bytes) -> bool:
    """Return whether a volume, an appliance or an operating system creates files of this name.

    Such a file or folder is never an image or a class, and an output folder that contains nothing
    else counts as empty.
    """
    text = (name if isinstance(name, str) else name.decode(errors="replace")).lower()
    if text in _SYSTEM_NAMES:
        return True
    # Most names are those of images: a look at their beginning is faster than the pattern.
    return text.startswith(_SYSTEM_PREFIXES) and _SYSTEM_PATTERN.fullmatch(text) is not None


def has_unusual_name(names: list[str]) -> bool:
    """Return whether one of the names in a folder may begin with a dot or be a system name.

    A check of each name takes five times as long.
    """
    text = "\0".join(["", *names]).lower()
    has_prefix = any("\0" + prefix in text for prefix in _SYSTEM_PREFIXES)
    return has_prefix or not _SYSTEM_NAMES.isdisjoint(text.split("\0"))
