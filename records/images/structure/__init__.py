"""Structure of JPEG and PNG files that every decoder reads alike."""
