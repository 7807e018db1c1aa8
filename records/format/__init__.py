"""The bytes on disk, as the format reference specifies them."""
