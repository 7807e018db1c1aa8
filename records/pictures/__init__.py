"""Drawing of reports: fonts, canvas, thumbnails, contact sheet."""
