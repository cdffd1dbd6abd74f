"""Causal language models: how their requests become passes."""
