"""Fixtures that several files share."""

from __future__ import annotations

from typing import Any

import pytest
from windtunnel.harness.errors import CapabilityError


@pytest.fixture(scope="session")
def textattack() -> Any:
    """The package, imported quietly; tests that ask for it are skipped where it cannot be had."""
    from windtunnel.attacks.text import textattack_import
    from windtunnel.attacks.text.stop_words import ENGLISH

    try:
        textattack_import.require_textattack()
    except CapabilityError as error:
        pytest.skip(str(error))
    return textattack_import.import_textattack(ENGLISH)
