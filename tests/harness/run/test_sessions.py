"""A run folder says when, with which command and on which machine its records were computed."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from windtunnel.harness.api.errors import IncompleteRun
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.store import FILE_NAME
from windtunnel.harness.store.sessions import Sessions
from windtunnel.tests.toys import planned


def test_each_process_that_computes_records_is_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/windtunnel", "run", "toys.yaml", "--hf-token", "s3cr3t"])
    plan = planned(tmp_path, chunk=4)
    with pytest.raises(IncompleteRun):
        run_plan(plan, tmp_path / "run", should_stop=lambda: True)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/windtunnel", "run", "toys.yaml"])
    for _ in range(2):  # the second has nothing to compute
        run_plan(plan, tmp_path / "run")
    sessions = summarise(tmp_path / "run").sessions
    assert [session.command for session in sessions] == ["windtunnel run toys.yaml --hf-token ***", "windtunnel run toys.yaml"]
    for session in sessions:
        assert datetime.fromisoformat(session.started).utcoffset() == timedelta(0)
        assert session.ended
        assert session.host["cores"]
    assert b"s3cr3t" not in (tmp_path / "run" / FILE_NAME).read_bytes()


def test_a_killed_session_has_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sessions, "end", lambda self, number, ended: None)
    run_plan(planned(tmp_path), tmp_path / "run")
    (session,) = summarise(tmp_path / "run").sessions
    assert (bool(session.started), session.ended) == (True, "")
