"""Checkpoints of transformers, an adapter a head."""
