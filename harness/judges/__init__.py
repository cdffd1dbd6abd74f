"""Judges of answers, a file each, and the panel that asks them."""
