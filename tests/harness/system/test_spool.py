"""A spool gives back what was put into it, and keeps little of it in memory."""

from __future__ import annotations

import dataclasses
import gc
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.modalities.audio import Audio
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.system import disk_sequence
from windtunnel.harness.system.disk_sequence import Spool

quick = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of three values or a hundred bytes, and a file at once."""
    monkeypatch.setattr(disk_sequence, "_BLOCK_LENGTH", 3)
    monkeypatch.setattr(disk_sequence, "_BLOCK_BYTES", 100)
    monkeypatch.setattr(disk_sequence, "IN_MEMORY_BYTES", 1)


@quick
@given(values=st.lists(st.one_of(st.integers(), st.text(max_size=60)), max_size=20), data=st.data())
def test_it_is_the_sequence_that_was_put_in(small: None, values: list[Any], data: st.DataObject) -> None:
    found = Spool.of(iter(values))
    assert len(found) == len(values)
    assert list(found) == values
    cut = data.draw(st.slices(len(values)))
    assert list(found[cut]) == values[cut]
    again = data.draw(st.slices(len(values[cut])))
    assert list(found[cut][again]) == values[cut][again]
    for place in data.draw(st.permutations(range(-len(values), len(values)))):
        assert found[place] == values[place]
    with pytest.raises(IndexError):
        found[len(values)]


def test_it_goes_to_a_file(small: None) -> None:
    found: Any = Spool.of("abcdefgh")
    assert found._blocks._file._rolled
    assert "".join(found) == "abcdefgh"


def test_samples_come_back_with_all_that_they_have() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    inputs = ["a \ud800 text", TextPair("a", "b"), Chat((Message("user", "x"),)), Image(pixels), Audio(np.zeros(3, np.float32), 8000)]
    samples = [Sample(f"s{i}", value, [1, (2,)], ("a", "b"), "g", {"list": [1], "set": {2}}) for i, value in enumerate(inputs)]
    for before, after in zip(samples, Spool.of(samples), strict=True):
        assert [getattr(before, f.name) for f in dataclasses.fields(Sample)] == [getattr(after, f.name) for f in dataclasses.fields(Sample)]
        assert isinstance(after.target, list), "a task's own lists stay lists"
    with pytest.raises(ValueError):
        Spool.of(samples)[3].input.pixels[0, 0, 0] = 1  # type: ignore[union-attr]


@pytest.mark.parametrize("place", [0, 4, 7, 8])
def test_what_cannot_be_pickled_is_kept(small: None, place: int) -> None:
    values: list[Any] = list(range(9))
    values[place] = lambda: "a task's own object"
    found = Spool.of(iter(values))
    assert list(found) == values
    assert found[place] is values[place]
    assert list(found[2:5]) == values[2:5]


def test_the_sources_error_is_raised() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise RuntimeError("no more rows")

    with pytest.raises(RuntimeError, match="no more rows"):
        Spool.of(source())


def test_memory_does_not_grow_with_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_sequence, "IN_MEMORY_BYTES", 2**16)

    def held(num: int) -> int:
        gc.collect()
        tracemalloc.start()
        try:
            found = Spool.of(Sample(f"t:{i}", f"a text of some length, number {i}", 1, ("a", "b")) for i in range(num))
            assert sum(s.target for s in found) == num
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # As objects a sample takes some 500 bytes.
    assert held(6_000) - held(2_000) < 4_000 * 50
