"""Shared by all kinds of items: planned items, the base class of kinds, running items, and results."""
