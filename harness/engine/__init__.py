"""The engine, the only code that runs a model: deduplicate, cache, sort, pack, execute, halve on OOM, restore order."""

from .engine import Engine as Engine
