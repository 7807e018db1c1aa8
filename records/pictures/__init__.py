"""Drawing for all reports: fonts, canvas, thumbnails, contact sheet."""
