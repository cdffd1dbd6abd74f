"""Pipelines of scikit-learn."""
