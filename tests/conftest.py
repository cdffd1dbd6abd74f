"""Fixtures that several files share."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from windtunnel.harness.api.errors import CapabilityError
from windtunnel.harness.identity.code import target_folders

# A process a core is the default, and the models here are tiny: threads within a process only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


# Beside Pythons that have no small build of torch, a file or test that fails for want of it, or of TextAttack, is skipped.
_HAS_TORCH = find_spec("torch") is not None
_IS_ABSENT = re.compile(r"No module named '(torch|captum)|textattack[\w, ]* cannot be found")


def _skip_without_torch(report: pytest.CollectReport | pytest.TestReport) -> None:
    if report.failed and not _HAS_TORCH and _IS_ABSENT.search(f"{report.longrepr} {report.capstdout} {report.capstderr}"):
        report.outcome, report.longrepr = "skipped", (report.nodeid, 0, "needs torch or TextAttack, which are not installed")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _skip_without_torch(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _skip_without_torch(report)
    return report


@pytest.fixture(scope="session", autouse=True)
def _nothing_kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes what was measured on this machine."""
    folder = tmp_path_factory.mktemp("kept")
    with mock.patch.dict(os.environ, WINDTUNNEL_CACHE=str(folder)):
        yield folder


@pytest.fixture(autouse=True)
def _path_as_before() -> Iterator[None]:
    """The folders of a test's plugin files leave Python's path with it: else each test would look for modules in those of all before it."""
    path, targets = list(sys.path), list(target_folders)
    yield
    for place in {*sys.path} - {*path}:
        sys.path_importer_cache.pop(place, None)
    sys.path[:], target_folders[:] = path, targets


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection or looks up a host fails the test."""

    def forbid(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", forbid)
    monkeypatch.setattr(socket, "getaddrinfo", forbid)


@pytest.fixture
def ctrl_c_is_listened_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a terminal. What a shell starts in the background has the signal ignored."""
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.default_int_handler)


@pytest.fixture(scope="session")
def textattack() -> Any:
    """The package, imported quietly; tests that ask for it are skipped where it cannot be had."""
    from windtunnel.attacks.text import textattack_import
    from windtunnel.harness.language.stop_words import ENGLISH

    try:
        textattack_import.require_textattack()
    except CapabilityError as error:
        pytest.skip(str(error))
    return textattack_import.import_textattack(ENGLISH)
