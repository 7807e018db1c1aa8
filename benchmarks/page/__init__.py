"""Tables and charts of docs/explanation/performance.md, made from samples."""
