"""Near-duplicates: images of the same picture, resized, re-encoded or slightly cropped."""

from records.dedup.find import find_near_duplicates
from records.dedup.groups import NearDuplicates, NearImage, NearPair

__all__ = ["NearDuplicates", "NearImage", "NearPair", "find_near_duplicates"]
