"""A plan to records, chunk by chunk."""
