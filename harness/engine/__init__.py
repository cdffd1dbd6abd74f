"""The engine: the only thing that runs a model. Dedupe, cache, sort, pack, execute, halve on OOM, restore order."""

from .engine import Engine as Engine
