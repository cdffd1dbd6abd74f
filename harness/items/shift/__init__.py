"""Explanation shift: measures how much an explanation changes under attack."""
