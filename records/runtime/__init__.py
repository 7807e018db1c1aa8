"""Process-level services: logging, progress, parallel maps, row tables, memory."""
