"""Python functions and toys as models."""
