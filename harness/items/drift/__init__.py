"""Batch invariance: the same requests asked alone."""
