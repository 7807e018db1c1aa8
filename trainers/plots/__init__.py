"""Charts and image grids as PNG files."""
