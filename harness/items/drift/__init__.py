"""Batch invariance: requests repeated in batches of one."""
