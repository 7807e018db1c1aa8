"""Tables and plots of docs/explanation/performance.md, generated from samples."""
