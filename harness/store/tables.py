"""The tables of a run store, and the version of what is in them.

run          schema version, name, the suite that made it; a further row where the suite's gates or reports changed since
items        a row an item: what was asked of which model, with the fingerprints of model, data and plugin, and the seed
standing     a row an item that was set aside, because what it is made of changed, or taken up again; the last one counts
sample_sets  a task's samples as they once were, with a digest of them
samples      a row a sample of a set; ``facts``: target and group, which a summary reads without the input
chunks       a row a finished chunk of an item: its counters
timing       how long a chunk took, and the product of matrices that its model's device was measured by: what no other run has the same
records      a row a sample and item: scores, error, artifacts
answers      the model's answers with their content keys: the run's own cache, so that a resumed run sees what an uninterrupted one saw
chain        a link a transaction: a digest of all rows of the others (`chain`)

All are rowid tables, in the order in which rows were written.
"""

from __future__ import annotations

import sqlite3
from functools import cache

from . import answer_log, chain

SCHEMA_VERSION = 6

_TABLES = f"""
{answer_log.TABLE};
{chain.TABLE};
CREATE TABLE run (schema_version INTEGER NOT NULL, name TEXT NOT NULL, suite TEXT NOT NULL, version TEXT NOT NULL);
CREATE TABLE items (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, item TEXT NOT NULL, kind TEXT NOT NULL, task TEXT NOT NULL, num_samples INTEGER NOT NULL,
    model_fingerprint TEXT NOT NULL, data_fingerprint TEXT NOT NULL, plugin TEXT NOT NULL, seed INTEGER NOT NULL, facts TEXT NOT NULL,
    sample_set INTEGER NOT NULL REFERENCES sample_sets);
CREATE TABLE standing (item INTEGER NOT NULL REFERENCES items, is_current INTEGER NOT NULL, why TEXT NOT NULL);
CREATE TABLE sample_sets (id INTEGER PRIMARY KEY, task TEXT NOT NULL, digest TEXT NOT NULL);
CREATE TABLE samples (
    sample_set INTEGER NOT NULL, ordinal INTEGER NOT NULL, id TEXT NOT NULL, facts TEXT NOT NULL, sample TEXT NOT NULL,
    UNIQUE (sample_set, ordinal));
CREATE UNIQUE INDEX sample_ids ON samples (sample_set, id);
CREATE TABLE chunks (item INTEGER NOT NULL REFERENCES items, chunk INTEGER NOT NULL, counters TEXT NOT NULL, UNIQUE (item, chunk));
CREATE TABLE timing (
    item INTEGER NOT NULL REFERENCES items, chunk INTEGER NOT NULL, seconds REAL NOT NULL, matmul_flops_per_s REAL NOT NULL,
    UNIQUE (item, chunk));
CREATE TABLE records (
    item INTEGER NOT NULL REFERENCES items, chunk INTEGER NOT NULL, ordinal INTEGER NOT NULL, sample_id TEXT NOT NULL,
    scores TEXT NOT NULL, error TEXT, artifacts TEXT NOT NULL, UNIQUE (item, ordinal));
"""
COVERED = ("answers", "chunks", "items", "records", "run", "sample_sets", "samples", "standing", "timing")
"""By the chain: all tables but its own."""

_APPEND_ONLY = "".join(
    f"CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END;\n"
    for table in (*COVERED, "chain")
    for verb in ("update", "delete")
)


def make_tables(connection: sqlite3.Connection, /) -> None:
    """In the transaction that is open."""
    for statement in (_TABLES + _APPEND_ONLY).split(";\n"):
        if statement.strip():
            connection.execute(statement)


def schema_of(connection: sqlite3.Connection, /) -> dict[str, str]:
    """The SQL of each table, index and trigger by name, but for those that SQLite makes of itself."""
    return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'"))


@cache
def own_schema() -> dict[str, str]:
    """`schema_of` a store that this version makes."""
    connection = sqlite3.connect(":memory:")
    try:
        make_tables(connection)
        return schema_of(connection)
    finally:
        connection.close()
