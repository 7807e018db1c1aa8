"""Images that people should look at: dark, blurry, of odd size."""

from records.quality.find import ImageFinding, IssueSummary, Quality, quality

__all__ = ["ImageFinding", "IssueSummary", "Quality", "quality"]
