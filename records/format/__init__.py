"""Files on disk, as the format reference specifies them."""
