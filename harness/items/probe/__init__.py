"""Probes: records, rows, and what follows from attributions."""
