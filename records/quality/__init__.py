"""Images that people should look at: dark, blurry, of odd size, duplicates."""

from records.quality.find import quality
from records.quality.result import ImageFinding, ImageReference, IssueSummary, Quality

__all__ = ["ImageFinding", "ImageReference", "IssueSummary", "Quality", "quality"]
