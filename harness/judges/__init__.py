"""Judges of answers, one module each, and the panel that runs them."""
