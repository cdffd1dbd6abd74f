"""The trend of the runs in a folder."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from windtunnel.harness.api.scorecard import Estimate
from windtunnel.harness.results.history import History, Trend
from windtunnel.harness.results.history_page import render_history
from windtunnel.harness.run import session
from windtunnel.harness.store import FILE_NAME
from windtunnel.tests.planted import run_planted
from windtunnel.tests.toys import windtunnel


def test_the_runs_of_a_name_are_a_trend_in_the_order_of_their_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, (name, overall) in enumerate([("second", 0.0), ("first", 0.3)]):
        started = datetime.fromtimestamp(1e9 - place * 1e6, tz=UTC)
        monkeypatch.setattr(session, "datetime", SimpleNamespace(now=lambda zone, started=started: started))
        run = run_planted(tmp_path, name, None, {"num": 40}, overall=overall)
        os.utime(run / FILE_NAME, (1e9 + place * 1e6, 1e9 + place * 1e6))
    shown = windtunnel("history", tmp_path, "--html", tmp_path / "history.html")
    assert shown.code == 0, shown.err
    assert "planted: 2 runs, 2001-08-28 to 2001-09-09 (first, second)" in shown.out
    line = next(line for line in shown.out.splitlines() if "numbered.accuracy" in line)
    assert "▁█" in line
    page = (tmp_path / "history.html").read_text()
    assert "<td>0.525</td><td>0.875</td><td>0.732 to 0.9581</td><td>+0.35 <small>higher is better</small></td></tr>" in page
    assert page.count("<circle") == 2


def test_a_run_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / FILE_NAME).write_bytes(b"no store")
    alone = windtunnel("history", tmp_path)
    assert (alone.code, "contains no run that this version can read" in alone.err) == (2, True)
    run_planted(tmp_path, "whole", None, {"num": 8})
    shown = windtunnel("history", tmp_path)
    assert (shown.code, "note: broken is left out: " in shown.err, "planted: 1 run" in shown.out) == (0, True, True)


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    answer = windtunnel("history", tmp_path)
    assert answer.code == 2
    assert "contains no run folder" in answer.err


def test_hostile_names_are_escaped() -> None:
    hostile = '<script>alert(1)</script>"onload="x'
    trend = Trend(hostile, hostile, hostile, True, (Estimate(0.5, 0.4, 0.6, 9), None, Estimate(None, reason="none")))
    times = (datetime(2026, 1, 1, tzinfo=UTC),) * 3
    page = render_history([History(hostile, (hostile,) * 3, times, (trend,))])
    assert "<script" not in page
    assert '"onload' not in page
