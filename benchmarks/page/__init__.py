"""Tables and charts of docs/performance.md, made from samples."""
