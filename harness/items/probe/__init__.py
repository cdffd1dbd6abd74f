"""Probe items: their records, rows and views."""
