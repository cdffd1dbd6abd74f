"""A suite to a work list, before any weights load."""
