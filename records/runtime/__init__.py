"""Process-level services: logging, progress, parallel maps, columns of rows, memory."""
