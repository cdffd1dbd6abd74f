"""Fixtures that several files share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from windtunnel.harness.errors import CapabilityError


@pytest.fixture(scope="session", autouse=True)
def _nothing_kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes what was measured on this machine."""
    folder = tmp_path_factory.mktemp("kept")
    with mock.patch.dict(os.environ, WINDTUNNEL_CACHE=str(folder)):
        yield folder


@pytest.fixture(scope="session")
def textattack() -> Any:
    """The package, imported quietly; tests that ask for it are skipped where it cannot be had."""
    from windtunnel.attacks.text import textattack_import
    from windtunnel.harness.stop_words import ENGLISH

    try:
        textattack_import.require_textattack()
    except CapabilityError as error:
        pytest.skip(str(error))
    return textattack_import.import_textattack(ENGLISH)
