"""Metrics over the libraries of their field, each with a vectorised form for its interval."""
