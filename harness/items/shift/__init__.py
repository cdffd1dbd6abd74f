"""Explanation shift: how far an explanation moves under attack."""
