"""The store: records are only added, what is damaged is told, and a full disk loses nothing that was finished."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.api.errors import ConfigError, DataError, SchemaError, StoreError
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.samples import Record, Sample
from windtunnel.harness.modalities.base import Unread
from windtunnel.harness.run import model_run
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.store import FILE_NAME, ChunkTimes, Store, StoredItem, codec, lock_folder, store_file
from windtunnel.harness.store.tables import COVERED, SCHEMA_VERSION
from windtunnel.tests.toys import opened, planned, records_of, windtunnel


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run_plan(planned(folder, attacks=["swap"]), folder / "run")
    return folder / "run"


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


@contextlib.contextmanager
def _raw(folder: Path, *, triggers: bool = True) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(folder / FILE_NAME, isolation_level=None)
    try:
        if not triggers:
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {name}")
        yield connection
    finally:
        connection.close()


@pytest.mark.parametrize("table", sorted({*COVERED, "chain"}))
def test_nothing_is_changed_or_deleted(run_folder: Path, table: str) -> None:
    with _raw(run_folder) as connection:
        if table == "standing":
            connection.execute("INSERT INTO standing VALUES (1, 1, '')")
        column = connection.execute(f"SELECT name FROM pragma_table_info('{table}')").fetchone()[0]
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"):
            with pytest.raises(sqlite3.IntegrityError, match=f"{table} are append-only"):
                connection.execute(statement)


def test_a_newer_schema_is_named(run_folder: Path) -> None:
    with _raw(run_folder, triggers=False) as connection:
        connection.execute("UPDATE run SET schema_version = 99, version = '7.0.1'")
    for readonly in (True, False):
        with pytest.raises(SchemaError, match=rf"schema 99, written by windtunnel 7\.0\.1; this version reads schema {SCHEMA_VERSION}"):
            Store.open(run_folder / FILE_NAME, readonly=readonly)
    answer = windtunnel("report", run_folder)
    assert (answer.code, "7.0.1" in answer.err) == (3, True)


@pytest.mark.parametrize("damage", ["random", "empty", "header", "half", "pages", "other"])
@pytest.mark.parametrize("verb", ["verify", "report"])
def test_a_damaged_file_is_an_error_and_no_traceback(run_folder: Path, damage: str, verb: str) -> None:
    path = run_folder / FILE_NAME
    whole = path.read_bytes()
    rng = random.Random(7)
    if damage == "other":
        path.unlink()
        with _raw(run_folder) as connection:
            connection.execute("CREATE TABLE mine (x)")
    else:
        path.write_bytes({
            "random": rng.randbytes(5000), "empty": b"", "header": whole[:50], "half": whole[: len(whole) // 2],
            "pages": whole[:4096] + rng.randbytes(len(whole) - 4096),
        }[damage])  # fmt: skip
    answer = windtunnel(verb, run_folder)
    assert answer.code == 3
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.err
    if damage == "other":
        with _raw(run_folder) as connection:
            assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)], "a foreign file is left as it is"


def test_verify_says_what_is_still_to_be_made(tmp_path: Path) -> None:
    plan = planned(tmp_path, attacks=["swap"])
    with contextlib.suppress(Exception):
        run_plan(plan, tmp_path / "run", should_stop=lambda: True)
    answer = windtunnel("verify", tmp_path / "run")
    assert answer.out.startswith("4 records of 1 items are whole and unchanged; 28 are still to be made\n")
    assert "\ndigest: " in answer.out


def test_verify_names_what_cannot_be_read_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest is right: it was written so, as by a modality whose ``from_json`` cannot read what its ``to_json`` gives."""
    item = store.add_item(_item(), SAMPLES)
    whole = codec.dumps
    with monkeypatch.context() as changed:
        changed.setattr(codec, "dumps", lambda value: '{"$array":["<f4",[3],"AAAAAA=="]}' if value == {"odd": 1} else whole(value))
        _add(store, item, 0, [Record("s0", "t", {}, None, {"odd": 1}), Record("s1", "t", {})])
    (fault,) = store.verify()
    assert fault.startswith("the record of sample 's0' in 't' on 'm' cannot be read back: ValueError: cannot reshape array")
    answer = windtunnel("verify", store.path.parent)
    assert (answer.code, fault in answer.err) == (3, True)


def test_verify_names_plugins_that_were_not_given(store: Store) -> None:
    item = store.add_item(_item(), SAMPLES)
    store.amend(codec.dumps({"plugin_files": ["pt.py sha256:12"], "planned": [("m", "t", 2)]}), "1")
    hostile = '"$modality":["text in quotes", 1], "$type":"x"'
    _add(store, item, 0, [Record("s0", "t", {}, None, {"a": Unread("pt", {"x": 1}), "b": hostile}), Record("s1", "t", {})])
    unread = "values of 'pt' in 1 of its texts were not read back: give the run's plugin file with --plugin"
    assert (store.verify(), store.list_unread()) == ([], [unread])
    answer = windtunnel("verify", store.path.parent)
    assert (answer.code, f"\nnote: {unread}\n" in answer.out) == (0, True)


def _item(**changes: Any) -> StoredItem:
    facts = {"chunk": 2, "labels": (), "metrics": ()}
    plain: dict[str, Any] = {
        "id": 0, "model": "m", "key": ItemKey("task", "t"), "num_samples": 4, "model_fingerprint": "f",
        "data_fingerprint": "d", "plugin": "p", "seed": 3, "facts": facts,
    }  # fmt: skip
    return StoredItem(**{**plain, **changes})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.create(tmp_path / FILE_NAME, name="r", suite='{"planned":[]}', version="1")
    yield made
    made.close()


SAMPLES = [Sample(f"s{i}", f"text {i}") for i in range(4)]


def _add(store: Store, item: StoredItem, chunk: int, records: list[Record]) -> None:
    times = ChunkTimes(0.5, 0.25)
    store.add_chunk(item, chunk, chunk * 2, records, counters={"forward_passes": 2}, times=times, answers={f"k{chunk}": "answer"})


def test_what_was_written_is_what_is_read(store: Store) -> None:
    item = store.add_item(_item(), SAMPLES)
    odd = {"text": "\ud800 \0 \u202e", "array": np.arange(3.0), "list": (1, None, True)}
    records = [Record("s0", "t", {"a": 0.1 + 0.2, "b": None}, None, odd), Record("s1\0\u202e", "t", {}, "bad \ud800 text\n\x1b[2J")]
    _add(store, item, 0, records)
    first, second = store.records(item)
    assert first.scores == {"a": 0.1 + 0.2, "b": None}
    assert first.artifacts["text"] == odd["text"]
    np.testing.assert_array_equal(first.artifacts["array"], np.arange(3.0))
    assert second.error == "bad \\ud800 text\n\x1b[2J"
    assert second.sample_id == "s1\0\u202e"
    assert store.counters(item) == {"forward_passes": 2}
    (chunk,) = store.chunks(item)
    assert (chunk.num_samples, chunk.times, chunk.counters) == (2, ChunkTimes(0.5, 0.25), {"forward_passes": 2})
    assert store.get(["k0", "k9"]) == {"k0": "answer"}
    assert [s.id for s in store.samples("t")] == ["s0", "s1", "s2", "s3"]
    assert store.finished_chunks(item) == {0}
    assert store.verify() == []


def test_a_chunk_is_there_whole_or_not_at_all(store: Store) -> None:
    item = store.add_item(_item(), SAMPLES)
    _add(store, item, 0, [Record("s0", "t", {}), Record("s1", "t", {})])
    with pytest.raises(StoreError, match="UNIQUE"):  # an ordinal that is taken: after the chunk's own row was written
        store.add_chunk(item, 1, 1, [Record("s1", "t", {})], counters={}, times=ChunkTimes(), answers={})
    assert store.finished_chunks(item) == {0}
    with pytest.raises(TypeError):
        store.add_chunk(item, 1, 2, [Record("s2", "t", {}, None, {"x": object()})], counters={}, times=ChunkTimes(), answers={})
    _add(store, item, 1, [Record("s2", "t", {}), Record("s3", "t", {})])
    assert store.verify() == []


@pytest.mark.parametrize(
    ("field", "said"),
    [("model_fingerprint", "model"), ("data_fingerprint", "data"), ("plugin", "plugin"), ("seed", "seed"), ("kind", "kind"),
     ("num_samples", "number of samples")],
)  # fmt: skip
def test_another_origin_is_another_item(store: Store, field: str, said: str) -> None:
    first = store.add_item(_item(), SAMPLES)
    assert store.add_item(_item(), SAMPLES) == first
    changes = {"kind": {"key": ItemKey("other", "t")}, "seed": {"seed": 99}, "num_samples": {"num_samples": 99}}
    other = store.add_item(_item(**changes.get(field, {field: "other"})), SAMPLES)
    assert store.items() == [other]
    assert store.set_aside() == [(first, f"it was made with another {said}")]
    assert store.add_item(_item(), SAMPLES) == first, "and what it was before, when it is that again"


@pytest.mark.parametrize(
    ("now", "said"),
    [({"facts": {"versions": {"torch": "9"}}}, r"made with another version of torch \(none, now 9\); one run cannot hold results of both"),
     ({"model_fingerprint": "unknown: it draws"}, "whose model is unknown: it draws: whether it has changed is not known")],
)  # fmt: skip
def test_what_can_be_neither_kept_nor_replaced_is_an_error(store: Store, now: dict[str, Any], said: str) -> None:
    """And nothing else is set aside for it."""
    kept = [store.add_item(_item(key=ItemKey("task", name)), SAMPLES) for name in ("t", "u")]
    with pytest.raises(ConfigError, match=f"holds records of 'u' .*{said}. Choose a new folder with folder="):
        store.set_aside_changed([_item(plugin="other"), _item(key=ItemKey("task", "u"), **now)])
    assert store.items() == kept


def test_a_sample_that_cannot_be_recorded_is_named(store: Store) -> None:
    with pytest.raises(DataError, match="task 't': the sample 's9' cannot be recorded"):
        store.add_item(_item(), [Sample("s9", "x", metadata={"x": object()})])
    assert store.items() == []


def test_a_finished_run_that_is_given_again_is_not_written_to(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    run_plan(plan, tmp_path / "run")
    before = (tmp_path / "run" / FILE_NAME).read_bytes()
    run_plan(plan, tmp_path / "run")
    assert (tmp_path / "run" / FILE_NAME).read_bytes() == before


def test_a_run_is_never_overwritten(store: Store) -> None:
    with pytest.raises(StoreError, match="a run is never overwritten"):
        Store.create(store.path, name="x", suite="{}", version="1")


def test_a_half_made_store_is_made_again(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.new").write_bytes(b"half of a")
    (tmp_path / f"{FILE_NAME}.new-journal").write_bytes(b"half of a")
    Store.create(tmp_path / FILE_NAME, name="x", suite="{}", version="1").close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [FILE_NAME]


def test_the_suite_may_be_amended_and_the_former_stays(store: Store) -> None:
    store.amend('{"gates":[1]}', "2")
    assert (store.suite, store.version, store.name) == ('{"gates":[1]}', "2", "r")
    assert store._db.execute("SELECT COUNT(*) FROM run").fetchone() == (2,)


# ── a full disk ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("allowed", [0, 2, 6])
def test_a_full_disk_loses_nothing_and_the_same_command_finishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
    """SQLite is told that the file may not grow: it answers as it does when the disk is full."""
    reference = tmp_path / "reference"
    run_plan(planned(tmp_path, attacks=["swap"], chunk=2), reference)
    connect = store_file.connect

    def limited(path: Path, **options: Any) -> sqlite3.Connection:
        connection = connect(path, **options)
        if path.name == FILE_NAME:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages + allowed}")
        return connection

    out = tmp_path / "run"
    suite = tmp_path / "toys.yaml"
    monkeypatch.setattr(store_file, "connect", limited)
    long = "word " * 2000
    monkeypatch.setattr(
        model_run, "make_recordable", lambda r: Record(r.sample_id, r.item, r.scores, r.error, {**r.artifacts, "long": long})
    )
    answer = windtunnel("run", suite, "--out", out, "-q")
    assert answer.code == 3
    assert "full" in answer.err
    assert "all finished chunks are safe. To go on, free some space and run it again" in answer.err
    monkeypatch.undo()
    assert windtunnel("verify", out).code == 0
    run_plan(planned(tmp_path, attacks=["swap"], chunk=2), out)
    for records, expected in zip(records_of(out).values(), records_of(reference).values(), strict=True):
        assert [(r.sample_id, r.scores) for r in records] == [(r.sample_id, r.scores) for r in expected]
    assert windtunnel("verify", out).code == 0


def test_a_full_disk_keeps_the_former_reports(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert windtunnel("report", run_folder).code == 0
    before = {p.name: p.read_bytes() for p in run_folder.glob("*.*") if p.suffix in (".json", ".md", ".html", ".xml")}
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        write(path, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    answer = windtunnel("report", run_folder)
    monkeypatch.undo()
    assert answer.code == 3
    assert "No space left on device" in answer.err
    assert "the records are safe" in answer.err
    assert {name: (run_folder / name).read_bytes() for name in before} == before
    assert len(before) == 5


# ── folders ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file" / "run", tmp_path / "file", Path("/proc/nowhere/run")):
        with pytest.raises(StoreError, match=r"cannot write to .*; choose another folder with folder="):
            run_plan(plan, out)


def _as_nobody(work: Any) -> int:
    """The exit status of ``work`` in a child that may write nowhere but where all may; root itself may write everywhere."""
    child = os.fork()
    if child == 0:
        status = 9
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            status = int(work())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_run_in_a_folder_that_cannot_be_written_is_read(finished: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(finished, Path(name) / "run"))
        Path(name).chmod(0o755)
        folder.chmod(0o555)

        def reads() -> bool:
            with opened(folder) as store:
                return sum(len(list(store.records(i))) for i in store.items()) == 32

        def refuses() -> bool:
            try:
                Store.open(folder / FILE_NAME).close()
                with lock_folder(folder):
                    return False
            except StoreError as error:
                return "writ" in str(error)

        (folder / FILE_NAME).chmod(0o444)
        assert _as_nobody(reads) == 1
        assert _as_nobody(refuses) == 1
        folder.chmod(0o755)


def test_another_suites_folder_is_kept_as_it_is(tmp_path: Path) -> None:
    run_plan(planned(tmp_path), tmp_path / "run")
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    with pytest.raises(ConfigError, match=r"contains the run of another suite, which stays unchanged; choose a new folder with folder="):
        run_plan(planned(tmp_path, models=[{"name": "others", "model": "toy:words"}]), tmp_path / "run")
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before


def test_a_folder_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    (tmp_path / "toys.yaml").rename(tmp_path / "suite.yaml")
    before = (tmp_path / "suite.yaml").read_bytes()
    answer = windtunnel("run", tmp_path / "suite.yaml", "--out", tmp_path)
    assert answer.code == 2
    assert "contains 'suite.yaml' and no run; choose an empty or a new folder" in answer.err
    assert (tmp_path / "suite.yaml").read_bytes() == before
    (tmp_path / "empty").mkdir()
    run_plan(plan, tmp_path / "empty")


def test_only_one_process_writes(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    (tmp_path / "run").mkdir()
    told = pytest.raises(StoreError, match=r"another process is running in .*run; wait for it, or choose another folder")
    with lock_folder(tmp_path / "run"), told:
        run_plan(plan, tmp_path / "run")
    run_plan(plan, tmp_path / "run")


def test_records_hold_what_json_cannot(tmp_path: Path) -> None:
    assert codec.loads(codec.dumps({"x": float("inf")})) == {"x": float("inf")}
