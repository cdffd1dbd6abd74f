"""Encoders that classify: passes that compute only what is read."""
