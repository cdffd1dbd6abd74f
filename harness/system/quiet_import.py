"""Imports of libraries that change what is not theirs (loggers, the global random state, warnings), or bring what nobody needs."""

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
    """The module, no warning raised, loggers and global random state as they were."""
    if name in sys.modules:
        return sys.modules[name]
    with quietly():
        return import_module(name)


@contextmanager
def quietly() -> Iterator[None]:
    """Warnings are ignored inside; loggers and global random state are as before afterwards."""
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


@contextmanager
def hidden(name: str, /) -> Iterator[None]:
    """What is imported inside finds no library of this name, unless the process has it already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
