"""The tables of a run store, and the version of what is in them.

run          schema version, name, the suite that made it; a further row where the suite's gates or reports, or the schema, changed since,
             and one with a digest of all chunks when the run is finished
items        a row an item: what was asked of which model, with the fingerprints of model, data and plugin, and the seed
samples      what each task's samples are, once; ``facts``: target and group, which a summary reads without the input
chunks       a row a finished chunk of an item: its counters, its seconds, and a digest of its records
records      a row a sample and item: scores, error, artifacts; a rowid table, for without one a kilobyte and more takes a page to itself
answers      the model's answers with their content keys: the run's own cache, so that a resumed run sees what an uninterrupted one saw
"""

from __future__ import annotations

from .answer_log import TABLE

SCHEMA_VERSION = 3
READABLE = (2, 3)
"""Since schema 3, attributions have a short form (`compact`). A run of schema 2 is read, and goes on, as one of schema 3."""

TABLES = f"""
{TABLE};
CREATE TABLE run (schema_version INTEGER NOT NULL, name TEXT NOT NULL, suite TEXT NOT NULL, version TEXT NOT NULL);
CREATE TABLE items (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, item TEXT NOT NULL, kind TEXT NOT NULL, task TEXT NOT NULL, num_samples INTEGER NOT NULL,
    model_fingerprint TEXT NOT NULL, data_fingerprint TEXT NOT NULL, plugin TEXT NOT NULL, seed INTEGER NOT NULL, facts TEXT NOT NULL,
    UNIQUE (model, item));
CREATE TABLE samples (
    task TEXT NOT NULL, ordinal INTEGER NOT NULL, id TEXT NOT NULL, facts TEXT NOT NULL, sample TEXT NOT NULL,
    PRIMARY KEY (task, ordinal)) WITHOUT ROWID;
CREATE UNIQUE INDEX sample_ids ON samples (task, id);
CREATE TABLE chunks (
    item INTEGER NOT NULL REFERENCES items, chunk INTEGER NOT NULL, counters TEXT NOT NULL, seconds REAL NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (item, chunk)) WITHOUT ROWID;
CREATE TABLE records (
    item INTEGER NOT NULL REFERENCES items, chunk INTEGER NOT NULL, ordinal INTEGER NOT NULL, sample_id TEXT NOT NULL,
    scores TEXT NOT NULL, error TEXT, artifacts TEXT NOT NULL, UNIQUE (item, ordinal));
"""
APPEND_ONLY = "".join(
    f"CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END;\n"
    for table in ("run", "items", "samples", "chunks", "records")
    for verb in ("update", "delete")
)
