"""The demo: three tiny models trained by `train`, on data that comes with the package. Run it with ``windtunnel demo``."""
