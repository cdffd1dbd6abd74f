"""Answers are found by key, whatever the order, the number and the hashes of the keys."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.store import answer_log
from windtunnel.harness.store.answer_log import TABLE, AnswerLog, RowIndex

quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.execute(TABLE)
    yield made
    made.close()


@quick
@given(st.lists(st.lists(st.text("abcdef", min_size=1, max_size=3), max_size=6, unique=True), max_size=12), st.booleans())
def test_what_was_put_in_is_found(chunks: list[list[str]], collide: bool) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(answer_log, "_FEW", 5)
        if collide:
            patched.setattr(answer_log, "hash", lambda key: len(key), raising=False)
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.execute(TABLE)
        log, expected = AnswerLog(connection), {}
        for number, chunk in enumerate(chunks):
            answers = {key: Logits((float(number),)) for key in chunk if key not in expected}
            log.insert(answers)
            log.add_to_index(answers)
            expected.update(answers)
        wanted = [*expected, "never asked"]
        for asked in (log, AnswerLog(connection)):
            found = asked.get(wanted)
            assert all(expected[key] == answer for key, answer in found.items()), "another key's answer"
            if not collide:
                assert found == expected
        connection.close()


def test_what_was_not_committed_is_not_found(connection: sqlite3.Connection) -> None:
    log = AnswerLog(connection)
    connection.execute("BEGIN")
    log.insert({"a": 1, "b": 2})
    connection.execute("ROLLBACK")
    assert log.get(["a", "b"]) == {}
    log.insert({"b": 3})
    log.add_to_index({"b": 3})
    assert log.get(["a", "b"]) == {"b": 3}
    assert AnswerLog(connection).get(["a", "b"]) == {"b": 3}


def test_a_key_takes_few_bytes() -> None:
    places = RowIndex()
    tracemalloc.start()
    try:
        for number in range(100_000):
            places.add(f"{number:064x}", number)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 100_000 * 60
    assert sorted(places.find([f"{n:064x}" for n in (0, 7, 99_999)])) == [0, 7, 99_999]
