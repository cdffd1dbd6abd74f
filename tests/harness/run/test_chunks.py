"""Where an item is cut into chunks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from windtunnel.harness.items.base.planned_item import PlannedItem
from windtunnel.harness.run.chunks import split_chunks
from windtunnel.tests.toys import planned


def cut(item: PlannedItem, num: int, positions: int, most: int = 1000, first: int | None = None) -> list[int]:
    """Return the number of samples in each chunk of an item with so many samples of equal positions."""
    task = replace(item.task, positions=[positions] * num)
    longer = replace(item, task=task, samples=[item.samples[0]] * num)
    return [chunk.end - chunk.start for chunk in split_chunks(longer, most, 0, first)]


def test_a_chunk_has_so_much_work_and_so_many_samples(tmp_path: Path) -> None:
    task = planned(tmp_path).items[0]
    assert cut(task, 10, 8192) == [4, 4, 2]
    assert cut(task, 10, 8192, most=3) == [3, 3, 3, 1]
    assert cut(task, 16, 10, first=2) == [2, 14]
    assert cut(task, 3, 10, most=1, first=2) == [1, 1, 1]


def test_the_first_chunk_of_a_program_is_small_so_that_its_time_is_soon_known(tmp_path: Path) -> None:
    attack = next(item for item in planned(tmp_path, attacks=["swap"]).items if item.plugin is not None)
    assert attack.kind.work_per_position == 20
    assert cut(attack, 48, 82) == [3, 20, 20, 5]
