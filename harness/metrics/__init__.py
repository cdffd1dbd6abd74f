"""Metrics as local `evaluate` modules, each with a vectorised form for its interval."""
