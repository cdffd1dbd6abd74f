"""What a request and a sample cost with a toy model: little time, and next to no memory. `bench/scaling.py` measures the same at length."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.api.samples import Record, Sample
from windtunnel.harness.items.kinds import list_kinds
from windtunnel.harness.models.python.toy import Words
from windtunnel.harness.plan.planner import plan
from windtunnel.harness.plan.types import Plan
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.results.views import make_sample_views
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.scorecard.columns import Table
from windtunnel.harness.store import codec
from windtunnel.harness.suite.load import make_suite
from windtunnel.tests.toys import opened, planned


def notes(folder: Path, num: int) -> Plan:
    """A plan of ``num`` samples that all differ."""
    with (folder / "notes.jsonl").open("w") as file:
        for i in range(num):
            row = {"text": f"a {('bad', 'good')[i % 2]} note number {i} about the weather", "mood": ("negative", "positive")[i % 5 % 2]}
            file.write(json.dumps(row) + "\n")
    (folder / "rows.py").write_text(
        "import json\nfrom pathlib import Path\n\ndef rows():\n    with Path(__file__).with_name('notes.jsonl').open() as file:\n"
        "        yield from map(json.loads, file)\n"
    )
    (folder / "notes.yaml").write_text(
        "family: text_classification\ndata: {python: 'rows.py:rows'}\ntext: text\nlabel: mood\nlabels: [negative, positive]\n"
        "metrics: [accuracy]\n"
    )
    suite = make_suite({"name": "scale", "models": ["toy:words"], "tasks": ["notes.yaml"]}, base=folder)
    return plan(suite, Registry(()))


def alive() -> int:
    """How many samples, records or requests there are at this moment, of whichever there are most."""
    return max(Counter(type(thing) for thing in gc.get_objects() if type(thing) in (Sample, Record, Classify)).values(), default=0)


def test_samples_and_records_are_never_all_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    num, most = 2000, 3 * 256
    made = notes(tmp_path, num)
    found: dict[str, list[int]] = {"planned": [alive()], "asked": [], "summed": []}
    classify, note = Words.classify, Table._note

    def asked(self: Words, batch: Sequence[Classify]) -> list[Logits]:
        if len(found["asked"]) < 8:
            found["asked"].append(alive())
        return classify(self, batch)

    def noted(self: Table, record: Record) -> None:
        if self.num == num - 1:
            found["summed"].append(alive())
        note(self, record)

    monkeypatch.setattr(Words, "classify", asked)
    monkeypatch.setattr(Table, "_note", noted)
    run_plan(made, tmp_path / "run")
    summarise(tmp_path / "run")
    assert all(found.values())
    assert all(counted <= most for counts in found.values() for counted in counts), found


def test_a_view_reads_no_more_than_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_plan(planned(tmp_path, tasks=[{"task": "notes", "num": 300}], attacks=["swap"], chunk=64), tmp_path / "run")
    read: list[str] = []
    loads = codec.loads

    def counted(text: str) -> object:
        read.append(text)
        return loads(text)

    with opened(tmp_path / "run") as store:
        items = store.items()
        monkeypatch.setattr(codec, "loads", counted)
        assert [view.id for view in islice(make_sample_views(store, items, list_kinds(Registry())), 4)] == ["n0", "n1", "n2", "n3"]
    # A sample, and scores and artifacts of two records, for each of four views.
    assert len(read) == 4 * 5


def test_an_answer_is_found_again_in_a_long_run(tmp_path: Path) -> None:
    """The attack asks for every clean answer again, after all of them have been written."""
    run_plan(planned(tmp_path, tasks=[{"task": "notes", "num": 400}], attacks=["swap"], chunk=64), tmp_path / "run")
    with opened(tmp_path / "run") as store:
        attack = next(i for i in store.items() if i.kind == "attack")
        counters = store.counters(attack)
    assert counters["cache_hits"] >= 400
