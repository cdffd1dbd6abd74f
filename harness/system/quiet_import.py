"""Import libraries that change global state: loggers, random state, warnings."""

from __future__ import annotations

import logging
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np


def import_quietly(name: str, /) -> Any:
    """Import a module without its warnings or its changes to loggers and the global random state."""
    if name in sys.modules:
        return sys.modules[name]
    with silence_imports():
        return import_module(name)


@contextmanager
def silence_imports() -> Iterator[None]:
    """Ignore warnings in the body, and restore loggers and the global random state afterwards."""
    loggers = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    disabled = [(logger, logger.disabled) for logger in loggers]
    python_random, numpy_random = random.getstate(), np.random.get_state()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger in logging.root.manager.loggerDict.values():
            if isinstance(logger, logging.Logger):
                logger.disabled = False
        for logger, was in disabled:
            logger.disabled = was
        random.setstate(python_random)
        np.random.set_state(numpy_random)
