"""Columns of an item's records, against plain lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from windtunnel.harness.api.samples import Record
from windtunnel.harness.scorecard import columns
from windtunnel.harness.scorecard.columns import Column, Table

quick = settings(deadline=None, max_examples=100)
numbers = st.one_of(st.none(), st.integers(-5, 5), st.floats(-9, 9), st.booleans())
vectors = st.one_of(st.none(), st.tuples(st.floats(0, 1), st.floats(0, 1)))
texts = st.one_of(st.none(), st.text("abc", max_size=5))


@quick
@given(st.one_of(*(st.lists(kind, max_size=30) for kind in (numbers, vectors, texts))), st.data())
def test_a_column_is_the_array_of_its_values(given_values: list[Any], data: st.DataObject) -> None:
    column = Column()
    for place, value in enumerate(given_values):
        if value is not None:
            column.add(place, value)
    num = len(given_values)
    assert column.given(num).tolist() == [value is not None for value in given_values]
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=num, max_size=num)), dtype=bool)
    chosen = [bool(mask[place]) for place, value in enumerate(given_values) if value is not None]
    found = column.among(mask)
    given = [value for value in given_values if value is not None]
    as_text = any(isinstance(value, str) for value in given)
    assert found.tolist() == np.asarray(given, dtype=object if as_text else None)[chosen].tolist()
    assert column.among(mask).tolist() == found.tolist(), "it may be asked twice"


def test_blocks_join_as_one_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_BLOCK_LENGTH", 2)
    column = Column()
    for place, value in enumerate([1, 2, 3, 0.5, 5]):
        column.add(place, value)
    assert column.among(np.ones(5, dtype=bool)).tolist() == [1.0, 2.0, 3.0, 0.5, 5.0]


def test_text_takes_its_own_room_and_keeps_its_end() -> None:
    column = Column()
    for place, value in enumerate(["a", "a\0", *["b"] * 4000, "x" * 10**6]):
        column.add(place, value)
    found = column.among(np.ones(4003, dtype=bool))
    assert (found[0], found[1], len(found[-1])) == ("a", "a\0", 10**6)
    assert found.nbytes < 10**6, "numpy's own text would take 16 GB here"


@pytest.mark.parametrize("block", [2, 4096])
def test_values_of_several_shapes_are_an_error(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(columns, "_BLOCK_LENGTH", block)
    column = Column()
    for place, value in enumerate([(0.1, 0.9), (0.2, 0.8), (0.3, 0.3, 0.4), (1.0,)]):
        column.add(place, value)
    with pytest.raises(ValueError):
        column.among(np.ones(4, dtype=bool))


def rows() -> list[tuple[Record, Any, str | None]]:
    return [
        (Record("0", "t", {"correct": 1.0}, None, {"prediction": 3}), 3, None),
        (Record("1", "t", {}, "it broke", {"num_truncated": 1}), 4, "g"),
        (Record("2", "t", {"correct": 0.0, "target": 8.0}, None, {"prediction": 2, "unscored": "why"}), 5, "g"),
    ]


def test_a_score_hides_an_artifact_and_an_artifact_the_target() -> None:
    table = Table.of(rows(), {"correct", "prediction", "target", "absent"})
    every = np.ones(3, dtype=bool)
    assert table.values("target", every).tolist() == [3, 4, 8.0]
    assert table.values("prediction", every).tolist() == [3, 2]
    assert table.values("correct", ~table.failed_N).tolist() == [1.0, 0.0]
    assert not table.given("absent").any()
    assert (table.num, table.first_error, table.unscored) == (3, "it broke", "why")
    assert {name: count for name, count in table.notes.items() if count} == {"records": 3, "failed": 1, "truncated": 1}
    assert table.groups(every) == [None, "g", "g"]
    assert table.groups(np.array([False, False, True])) == ["g"]


def test_without_groups_there_are_none() -> None:
    table = Table.of([(record, target, None) for record, target, _ in rows()], None)
    assert table.groups(np.ones(3, dtype=bool)) == ()
    assert sorted(table.columns) == ["correct", "target"], "of an attack or a probe all scores, and nothing else"
