"""Encoder-decoders: how their requests become passes."""
