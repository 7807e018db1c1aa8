"""From samples to the tables and charts of docs/performance.md."""
