"""The clock of measured times leaves out waits for a CPU."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from windtunnel.harness.system.stopwatch import read_stopwatch


@pytest.fixture(autouse=True)
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: 100.0)


def test_the_time_on_a_run_queue_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "schedstat").write_text("7000000000 2500000000 41\n")
    assert read_stopwatch(tmp_path / "schedstat") == 97.5


@pytest.mark.parametrize("text", [None, "", "off\n", "1 x 2\n"])
def test_without_a_measured_wait_it_is_wall_time(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "schedstat").write_text(text)
    assert read_stopwatch(tmp_path / "schedstat") == 100.0
