"""Adapters, one file a backend: from a suite's model to something the engine can run."""
