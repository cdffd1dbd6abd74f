"""The chain of digests: a change of any row, in any table and column, is missed by nobody who reads the run or goes on with it."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from windtunnel.harness.api.errors import IncompleteRun, StoreError
from windtunnel.harness.plan.types import Plan
from windtunnel.harness.results.frames import Run
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.store import FILE_NAME, Store
from windtunnel.harness.store.tables import COVERED, make_own_schema, make_tables
from windtunnel.tests.toys import planned, windtunnel


def _columns() -> list[tuple[str, str]]:
    """Each column of each table: one that is added later is tried by itself."""
    connection = sqlite3.connect(":memory:")
    try:
        make_tables(connection)
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [(table, row[1]) for table in tables for row in connection.execute(f"PRAGMA table_info({table})")]
    finally:
        connection.close()


COLUMNS = _columns()
TABLES = sorted({table for table, _ in COLUMNS})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """A plan, and the folder of its run, which was stopped once, corrected and taken back, so that each table has several rows."""
    folder = tmp_path_factory.mktemp("made")
    plan = planned(folder, attacks=["swap"], chunk=4)
    _stop(plan, folder / "run")
    run_plan(planned(folder, attacks=["swap"], tasks=[{"task": "notes", "num": 8}], chunk=4), folder / "run")
    run_plan(plan, folder / "run")
    return plan, folder / "run"


def _stop(plan: Plan, folder: Path) -> None:
    """Run the first chunk."""
    stops = iter([False, True])
    with pytest.raises(IncompleteRun):
        run_plan(plan, folder, should_stop=lambda: next(stops))


@contextlib.contextmanager
def _tampered(folder: Path) -> Iterator[sqlite3.Connection]:
    """The file open for any change, its triggers as they were afterwards: what is found is found by the digests."""
    connection = sqlite3.connect(folder / FILE_NAME, isolation_level=None)
    try:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, sql in triggers:
            connection.execute(sql)
    finally:
        connection.close()


def _all_refuse(plan: Plan, folder: Path, among: str) -> None:
    """Whoever reads the run, and whoever would go on with it, is told in a sentence that has ``among`` in it."""
    with contextlib.closing(Store.open(folder / FILE_NAME, readonly=True, checked=False)) as store:
        wrong = store.verify()
    assert wrong
    assert among in "\n".join(wrong)
    before = (folder / FILE_NAME).read_bytes()
    readers: list[Callable[[], object]] = [lambda: summarise(folder), lambda: Run.load(folder), lambda: run_plan(plan, folder)]
    for read in readers:
        with pytest.raises(StoreError, match="was changed after the run"):
            read()
    assert (folder / FILE_NAME).read_bytes() == before


def test_the_untouched_run_is_whole(made: tuple[Plan, Path], tmp_path: Path) -> None:
    plan, folder = made
    copy = Path(shutil.copytree(folder, tmp_path / "run"))
    with _tampered(copy):
        pass
    with contextlib.closing(Store.open(copy / FILE_NAME)) as store:
        assert store.verify() == []
    summarise(copy)
    run_plan(plan, copy)


def test_every_table_has_rows_and_is_covered(made: tuple[Plan, Path]) -> None:
    """Else the mutations below change nothing."""
    with contextlib.closing(sqlite3.connect(made[1] / FILE_NAME)) as connection:
        for table in TABLES:
            assert connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] > 0, table
    assert {*COVERED, "chain"} == set(TABLES)


_CHANGES = {
    "text": "CASE WHEN typeof({0}) = 'text' THEN {0} || ' ' WHEN {0} IS NULL THEN 'x' ELSE {0} + 1 END",
    "kind": "CASE WHEN typeof({0}) = 'blob' THEN 1 WHEN {0} IS NULL THEN X'00' ELSE CAST({0} AS BLOB) END",
    "digit": "CASE typeof({0})"
    " WHEN 'integer' THEN {0} + 3 WHEN 'real' THEN {0} + 1e-9 WHEN 'text' THEN replace({0} || '1', '1', '7') ELSE '0' END",
}


@pytest.mark.parametrize(("table", "column"), COLUMNS)
@pytest.mark.parametrize("change", _CHANGES)
def test_each_column_is_covered(made: tuple[Plan, Path], tmp_path: Path, table: str, column: str, change: str) -> None:
    plan, folder = made
    copy = Path(shutil.copytree(folder, tmp_path / "run"))
    with _tampered(copy) as connection:
        before = connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
        with contextlib.suppress(sqlite3.IntegrityError):  # an id that is a whole number can be nothing else
            connection.execute(
                f"UPDATE {table} SET {column} = {_CHANGES[change].format(column)} WHERE rowid = (SELECT MAX(rowid) FROM {table})"
            )
        if connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall() == before:
            assert (column, change) in {("id", "kind"), ("number", "kind")}
            return
    if (table, column) == ("run", "schema_version"):
        with pytest.raises(StoreError, match="this version reads schema"):
            summarise(copy)
        with pytest.raises(StoreError, match="this version reads schema"):
            run_plan(plan, copy)
        return
    _all_refuse(plan, copy, "link " if table == "chain" else f"{table}: rows ")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("which", ["MIN", "MAX"])
def test_a_row_that_went_away_is_missed(made: tuple[Plan, Path], tmp_path: Path, table: str, which: str) -> None:
    copy = Path(shutil.copytree(made[1], tmp_path / "run"))
    with _tampered(copy) as connection:
        if table == "run":  # whose only row says the schema
            connection.execute("INSERT INTO run SELECT * FROM run")
        else:
            connection.execute(f"DELETE FROM {table} WHERE rowid = (SELECT {which}(rowid) FROM {table})")
    last_link = table == "chain" and which == "MAX"
    _all_refuse(made[0], copy, "link 1 of the hash chain" if table == "chain" and not last_link else "rows ")


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_was_added_is_seen(made: tuple[Plan, Path], tmp_path: Path, table: str) -> None:
    copy = Path(shutil.copytree(made[1], tmp_path / "run"))
    fresh = {
        "items": ("id", "item"), "sample_sets": ("id",), "standing": ("why",), "samples": ("ordinal", "id"), "records": ("ordinal",),
        "answers": ("number",), "chain": ("number",), "sessions": ("number",), "session_ends": ("session",),
    }  # fmt: skip
    with _tampered(copy) as connection:
        columns = [column for of, column in COLUMNS if of == table]
        new = fresh.get(table, () if table == "run" else ("chunk",))
        values = ", ".join(f"{column} || '7'" if column in new else column for column in columns)
        connection.execute(f"INSERT INTO {table} SELECT {values} FROM {table} ORDER BY rowid DESC LIMIT 1")
    _all_refuse(made[0], copy, "link " if table == "chain" else f"{table}: 1 rows were added by another program")


@pytest.mark.parametrize("table", [table for table in TABLES if table != "run"])
def test_rows_that_changed_places_are_seen(made: tuple[Plan, Path], tmp_path: Path, table: str) -> None:
    copy = Path(shutil.copytree(made[1], tmp_path / "run"))
    with _tampered(copy) as connection:
        first, last = connection.execute(f"SELECT MIN(rowid), MAX(rowid) FROM {table}").fetchone()
        assert first < last
        for old, new in ((first, -5), (last, first), (-5, last)):
            connection.execute(f"UPDATE {table} SET rowid = ? WHERE rowid = ?", (new, old))
    _all_refuse(made[0], copy, "link " if table == "chain" else f"{table}: rows ")


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM records WHERE item = 1 AND chunk = 1", "DELETE FROM chunks WHERE item = 1 AND chunk = 1"],
        ["DELETE FROM records WHERE item = (SELECT MAX(id) FROM items)", "DELETE FROM chunks WHERE item = (SELECT MAX(id) FROM items)",
         "DELETE FROM timing WHERE item = (SELECT MAX(id) FROM items)", "DELETE FROM items WHERE id = (SELECT MAX(id) FROM items)"],
        ["UPDATE items SET model = 'x' || model", "UPDATE items SET model_fingerprint = '0'"],
        ["DELETE FROM answers"],
        ["UPDATE answers SET response = (SELECT response FROM answers ORDER BY number DESC LIMIT 1)"],
        ["DELETE FROM chain"],
        ["DELETE FROM chain", *(f"DELETE FROM {table}" for table in COVERED if table != "run")],
        ["UPDATE chain SET rows = '{}'"],
        ["UPDATE chain SET rows = '[1]'"],
        ["UPDATE chain SET digest = (SELECT digest FROM chain WHERE number = 1)"],
    ],
)  # fmt: skip
def test_changes_together_are_seen(made: tuple[Plan, Path], tmp_path: Path, statements: list[str]) -> None:
    copy = Path(shutil.copytree(made[1], tmp_path / "run"))
    with _tampered(copy) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount
    _all_refuse(made[0], copy, "")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TRIGGER records_update",
        "CREATE TRIGGER mine AFTER INSERT ON records BEGIN INSERT INTO answers (key, response) VALUES ('k', '1'); END",
        "ALTER TABLE records ADD COLUMN more TEXT",
        "CREATE TABLE more (x)",
        "DROP INDEX sample_ids",
        "ALTER TABLE records RENAME TO kept",
        "ALTER TABLE answers RENAME COLUMN response TO reply",
    ],
)
def test_other_tables_are_no_run_store(made: tuple[Plan, Path], tmp_path: Path, statement: str) -> None:
    copy = Path(shutil.copytree(made[1], tmp_path / "run"))
    with contextlib.closing(sqlite3.connect(copy / FILE_NAME, isolation_level=None)) as connection:
        connection.execute(statement)
    _all_refuse(made[0], copy, "its tables differ from those of a run store")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_cell_is_covered(made: tuple[Plan, Path], tmp_path: Path, data: st.DataObject) -> None:
    copy = Path(shutil.copytree(made[1], tmp_path / "run", dirs_exist_ok=True))
    table, column = data.draw(st.sampled_from([c for c in COLUMNS if c != ("run", "schema_version")]))
    with _tampered(copy) as connection:
        rowids = [row[0] for row in connection.execute(f"SELECT rowid FROM {table} ORDER BY rowid")]
        rowid = data.draw(st.sampled_from(rowids))
        (old,) = connection.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (rowid,)).fetchone()
        drawn = data.draw(st.one_of(st.text(max_size=5), st.integers(-9, 9), st.floats(allow_nan=False), st.binary(max_size=3)))
        try:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (drawn, rowid))
            (new,) = connection.execute(
                f"SELECT {column} FROM {table} WHERE rowid = ?", (drawn if column in ("id", "number") else rowid,)
            ).fetchone()
        except (sqlite3.Error, TypeError):
            return
    with contextlib.closing(Store.open(copy / FILE_NAME, readonly=True, checked=False)) as store:
        assert bool(store.verify()) == (ascii(old) != ascii(new))


# ── what a run may do ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_was_cut_short_is_whole(made: tuple[Plan, Path], tmp_path: Path) -> None:
    """The end taken off with its links is the file of a run that was killed there: only a digest kept elsewhere tells."""
    copy = Path(shutil.copytree(made[1], tmp_path / "run"))
    whole = windtunnel("verify", copy)
    digest = whole.out.split("digest: ")[1].strip()
    with _tampered(copy) as connection:
        for _ in ("the end of the session", "the last chunk"):
            for table, (num, _) in json.loads(connection.execute("SELECT rows FROM chain ORDER BY number DESC").fetchone()[0]).items():
                connection.execute(f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} ORDER BY rowid DESC LIMIT {num})")
            connection.execute("DELETE FROM chain WHERE number = (SELECT MAX(number) FROM chain)")
    answer = windtunnel("verify", copy)
    assert (answer.code, "are still to be made" in answer.out) == (0, True)
    assert windtunnel("report", copy).code == 3, "it is not complete"
    assert windtunnel("verify", copy, "--digest", digest).code == 3
    assert windtunnel("verify", made[1], "--digest", digest).code == 0
    run_plan(made[0], copy)
    assert windtunnel("verify", copy, "--digest", digest).code == 0, "the run went on, and is the one that it was"


def test_equal_runs_have_equal_digests_however_long_they_took(made: tuple[Plan, Path], tmp_path: Path) -> None:
    _stop(made[0], tmp_path / "stopped")
    for name in ("stopped", "whole"):
        run_plan(made[0], tmp_path / name)
    first, second = (summarise(tmp_path / name).manifest["digest"] for name in ("stopped", "whole"))
    assert first == second
    assert len(first) == 64


def test_the_digest_is_printed_and_in_the_results(made: tuple[Plan, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made[1], tmp_path / "run"))
    digest = summarise(copy).manifest["digest"]
    assert f"digest: {digest}" in windtunnel("report", copy).out
    assert digest in (copy / "results.json").read_text()
    answer = windtunnel("verify", copy, "--digest", "0" * 64)
    assert (answer.code, f"its digest is {digest}, not 000" in answer.err) == (3, True)


def test_a_run_is_read_as_it_was_at_one_moment(made: tuple[Plan, Path], tmp_path: Path) -> None:
    """A reader that holds the file open sees neither half of what a running run adds."""
    folder = tmp_path / "run"
    with pytest.raises(IncompleteRun):
        run_plan(made[0], folder, should_stop=lambda: True)
    with contextlib.closing(Store.open(folder / FILE_NAME, readonly=True)) as reader:
        before = reader.digest, reader.count(reader.items()[0])
        run_plan(made[0], folder)
        assert (reader.digest, reader.count(reader.items()[0])) == before
        assert reader.verify() == []


def test_the_schema_is_that_of_a_run(made: tuple[Plan, Path]) -> None:
    assert {f"{table}_{verb}" for table in (*COVERED, "chain") for verb in ("update", "delete")} <= make_own_schema().keys()
