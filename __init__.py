"""Windtunnel: benchmark tasks, adversarial attacks and attribution probes over any model, joined into one scorecard."""

__version__ = "0.1.0"
