"""Tasks: records, and rows of judges."""
