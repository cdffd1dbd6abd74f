"""Attacks: records, rows, reliability, worst cases."""
