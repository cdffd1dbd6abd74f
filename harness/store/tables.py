"""The tables of a run store and their schema version.

run          schema version, name and suite of the run; one more row after a change of the suite's gates or reports
items        one row per item: model, name, key, fingerprints of model, data and plugin, and the seed
standing     one row whenever an item is set aside (its ingredients changed) or restored; the last row is valid
sample_sets  one row per version of a task's samples, with their digest
samples      one row per sample of a set; ``facts``: target and group, so that a summary need not read the input
chunks       one row per finished chunk of an item: its counters
timing       times of a chunk (`stored_chunk.ChunkTimes`); differs between runs
sessions     one row per process that computed records: start (UTC), command, facts about the machine; differs between runs
session_ends one row per session that ended by itself (UTC); differs between runs
records      one row per sample and item: scores, error, artifacts
answers      the model's responses by content key: the run's cache, so that a resumed run sees the same responses
chain        one link per transaction: a digest of all rows of the other tables (`chain`)

All are rowid tables, in the order in which rows were written.
"""

from __future__ import annotations

import sqlite3
from functools import cache

from . import answer_log, chain

SCHEMA_VERSION = 9

_TABLES = f"""
{answer_log.TABLE};
{chain.TABLE};
CREATE TABLE run (schema_version INTEGER NOT NULL, name TEXT NOT NULL, suite TEXT NOT NULL, version TEXT NOT NULL);
CREATE TABLE items (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, item TEXT NOT NULL, key TEXT NOT NULL, num_samples INTEGER NOT NULL,
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
    item INTEGER NOT NULL REFERENCES items, chunk INTEGER NOT NULL, seconds REAL NOT NULL, cpu_seconds REAL NOT NULL,
    matmul_flops_per_s REAL NOT NULL, streamed_answers INTEGER NOT NULL, first_token_s REAL NOT NULL, streamed_tokens INTEGER NOT NULL,
    streaming_s REAL NOT NULL, UNIQUE (item, chunk));
CREATE TABLE sessions (number INTEGER PRIMARY KEY, started TEXT NOT NULL, command TEXT NOT NULL, host TEXT NOT NULL);
CREATE TABLE session_ends (session INTEGER NOT NULL UNIQUE REFERENCES sessions, ended TEXT NOT NULL);
CREATE TABLE records (
    item INTEGER NOT NULL REFERENCES items, chunk INTEGER NOT NULL, ordinal INTEGER NOT NULL, sample_id TEXT NOT NULL,
    scores TEXT NOT NULL, error TEXT, artifacts TEXT NOT NULL, UNIQUE (item, ordinal));
"""
COVERED = ("answers", "chunks", "items", "records", "run", "sample_sets", "samples", "session_ends", "sessions", "standing", "timing")
"""The tables that the chain covers: all but its own."""

_APPEND_ONLY = "".join(
    f"CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END;\n"
    for table in (*COVERED, "chain")
    for verb in ("update", "delete")
)


def make_tables(connection: sqlite3.Connection, /) -> None:
    """Create the tables and triggers of a store in the open transaction."""
    for statement in (_TABLES + _APPEND_ONLY).split(";\n"):
        if statement.strip():
            connection.execute(statement)


def read_schema(connection: sqlite3.Connection, /) -> dict[str, str]:
    """Return the SQL of each table, index and trigger by name, without those that SQLite creates itself."""
    return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'"))


@cache
def make_own_schema() -> dict[str, str]:
    """Return the `read_schema` a store that this version creates."""
    connection = sqlite3.connect(":memory:")
    try:
        make_tables(connection)
        return read_schema(connection)
    finally:
        connection.close()
