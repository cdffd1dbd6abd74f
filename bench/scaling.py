"""What samples cost as they grow a hundredfold, through the whole of a run with a toy model. Run by hand:

    python bench/scaling.py [--sizes 1000 10000 100000] [--source python|jsonl] [--million] [--probe]

Every size is planned, run, reported and given again in a process of its own, on data made in a temporary folder. ``model``: what the toy
itself takes, which is left out of ``run``: that is the engine, the task's scoring and the store. CPU time is what to compare on a busy
machine. ``peak``: the largest resident memory until the end of the phase, most of it libraries.

First, engine and store by themselves: 100,000 requests, each a record, in chunks of 256, without task, plan and report.

Linear: what a further sample costs from the second size to the third is at most `LINEAR` times what it costs from the first to the second.
Flat: a further sample keeps at most `FLAT_BYTES` in memory. ``--million`` adds a million samples and says whether they stay below
`MOST_MB`. ``--probe`` has each sample attributed as well (occlusion of each word), and says how many bytes of ``run.db`` that takes;
then a sample may also keep `PLACE_BYTES` for each of its answers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

# `profile` is a module of Python's that torch imports; the file of that name here is another.
sys.path.append(sys.path.pop(0))

LINEAR = 1.5
FLAT_BYTES = 256
PLACE_BYTES = 16
MOST_MB = 1500
MILLION = 1_000_000
NUM_REQUESTS = 100_000
PHASES = ("plan", "run", "report", "again")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs=3, default=[1000, 10_000, 100_000], metavar="N")
    parser.add_argument("--source", choices=["python", "jsonl"], default="python", help="who reads the rows: a function, or datasets")
    parser.add_argument("--million", action="store_true", help="a million samples as well")
    parser.add_argument("--probe", action="store_true", help="attribute each sample")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(engine_and_store(given.one) if given.alone else measured(given.one, given.source, given.probe)))
        return
    options = ["--source", given.source, *(["--probe"] if given.probe else [])]
    alone = child("--one", str(NUM_REQUESTS), "--alone")
    print(
        f"engine and store, {NUM_REQUESTS:,} requests: {alone['cpu_us']:.1f} us cpu, {alone['wall_us']:.1f} us wall a request "
        f"beside the toy's {alone['toy_us']:.1f}; {alone['bytes']:.0f} bytes of memory a request",
        flush=True,
    )
    print(f"{'samples':>9}  {'':8}" + "".join(f"{phase:>22}" for phase in (*PHASES, "model")))
    found = [shown(num, options) for num in given.sizes]
    print(verdict(found, given.sizes))
    if given.million:
        last = shown(MILLION, options)
        print(verdict([*found[1:], last], [*given.sizes[1:], MILLION]))
        print(f"a million samples: {last['peak_mb']:,.0f} MB, {'below' if last['peak_mb'] < MOST_MB else 'NOT below'} {MOST_MB:,} MB")


def shown(num: int, options: Sequence[str]) -> dict[str, Any]:
    """One size, measured in a child, as two lines: seconds, and microseconds a sample."""
    found = child("--one", str(num), *options)
    times = [found["times"][phase] for phase in (*PHASES, "model")]
    wall_cpu = [f"{wall:9.2f} s {cpu:6.2f} cpu" for wall, cpu in times]
    each = [f"{wall / num * 1e6:8.1f} us {cpu / num * 1e6:6.1f} cpu" for wall, cpu in times]
    print(f"{num:>9,}  {'all':8}" + "".join(f"{text:>22}" for text in wall_cpu))
    print(f"{'':>9}  {'a sample':8}" + "".join(f"{text:>22}" for text in each))
    peaks = "".join(f"{found['peaks'][phase]:>19,.0f} MB" for phase in PHASES)
    print(f"{'':>9}  {'peak':8}{peaks}   run.db {found['db_mb']:,.0f} MB")
    kept = ", ".join(f"{name} {size / num:,.0f}" for name, size in found["bytes"].items())
    print(f"{'':>9}  {'bytes':8}   a sample: {kept}; {found['answers'] / num:.1f} answers", flush=True)
    return found


def child(*options: str) -> dict[str, Any]:
    """What this program says with these options, in a process of its own."""
    environment = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1", **os.environ}
    said = subprocess.run([sys.executable, __file__, *options], env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def verdict(found: Sequence[dict[str, Any]], sizes: Sequence[int]) -> str:
    """Whether time is linear and memory flat over three sizes, by what a further sample adds."""

    def added(of: Callable[[dict[str, Any]], float]) -> tuple[float, float]:
        first, second = ((of(found[i + 1]) - of(found[i])) / (sizes[i + 1] - sizes[i]) for i in (0, 1))
        return first, second

    lines = []
    for phase in PHASES:
        early, late = (value * 1e6 for value in added(lambda f, phase=phase: f["times"][phase][1]))  # type: ignore[misc]
        is_linear = late <= LINEAR * max(early, 1.0)
        lines.append(f"  {phase:7} a further sample: {early:6.1f} us, then {late:6.1f} us cpu: {'linear' if is_linear else 'NOT linear'}")
    early, late = (value * 2**20 for value in added(lambda f: f["peak_mb"]))
    most = FLAT_BYTES + PLACE_BYTES * found[-1]["answers"] / sizes[-1]
    is_flat = f"{'flat' if late <= most else 'NOT flat'} (at most {most:.0f})"
    lines.append(f"  memory  a further sample: {early:6.0f} bytes, then {late:6.0f} bytes: {is_flat}")
    return "\n".join(lines)


# ── in the child ──────────────────────────────────────────────────────────────────────────────────────────────────────


def engine_and_store(num: int) -> dict[str, float]:
    """Microseconds and bytes a request; the toy's own time is taken off."""
    from windtunnel.harness.api.item_key import ItemKey
    from windtunnel.harness.api.requests import Classify
    from windtunnel.harness.api.samples import Record
    from windtunnel.harness.engine import Engine
    from windtunnel.harness.engine.cache import MemoryCache
    from windtunnel.harness.models.python.toy import Words
    from windtunnel.harness.store import FILE_NAME, ChunkTimes, Store, StoredItem

    labels, chunk, toy_s = ("negative", "positive"), 256, 0.0

    class Timed(Words):
        def classify(self, batch: Sequence[Any]) -> list[Any]:
            nonlocal toy_s
            started = time.process_time()
            answers = super().classify(batch)
            toy_s += time.process_time() - started
            return answers

    with tempfile.TemporaryDirectory() as name:
        store = Store.create(Path(name) / FILE_NAME, name="alone", suite="{}", version="0")
        item = store.add_item(StoredItem(0, "toy", ItemKey("task", "notes"), num, "f", "d", "p", 0, {}), ())
        memory = MemoryCache(behind=store)
        engine = Engine(Timed(), Words.info, cache=memory)
        wall, cpu, first_kb = time.perf_counter(), time.process_time(), 0
        for start in range(0, num, chunk):
            ids = range(start, min(start + chunk, num))
            answers = engine.run([Classify(f"a good note number {i} about the weather and other things of the day", labels) for i in ids])
            kept = [{"prediction": 1, "probabilities": list(answer.values), "target": 1} for answer in answers]
            records = [Record(f"notes:{i}", "notes", {"correct": 1.0}, None, artifacts) for i, artifacts in zip(ids, kept, strict=True)]
            counters = engine.counters.take()
            store.add_chunk(item, start // chunk, start, records, counters=counters, times=ChunkTimes(), answers=memory.take())
            first_kb = first_kb or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wall, cpu = time.perf_counter() - wall - toy_s, time.process_time() - cpu - toy_s
        store.close()
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first_kb
    return {"cpu_us": cpu / num * 1e6, "wall_us": wall / num * 1e6, "toy_us": toy_s / num * 1e6, "bytes": grown_kb * 1024 / num}


def measured(num: int, source: str, probe: bool) -> dict[str, Any]:
    """Wall and CPU seconds of each phase, the largest resident memory, the size of the store and of what is in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HF_DATASETS_CACHE"] = str(folder / "cache")

        from windtunnel.harness.api.registry import Registry
        from windtunnel.harness.models.python import toy
        from windtunnel.harness.plan.planner import plan
        from windtunnel.harness.results.summarise import summarise
        from windtunnel.harness.results.write_reports import write_reports
        from windtunnel.harness.run.runner import run_plan
        from windtunnel.harness.suite.load import make_suite

        write_task(folder, num, source)
        probes = {"probes": ["occlusion"], "scores": ["complexity"]} if probe else {}
        suite = make_suite({"name": "scaling", "models": ["toy:words"], "tasks": ["notes.yaml"], **probes}, base=folder)
        times = {phase: [0.0, 0.0] for phase in (*PHASES, "model")}
        peaks: dict[str, float] = {}

        @contextlib.contextmanager
        def timed(phase: str) -> Iterator[None]:
            wall, cpu = time.perf_counter(), time.process_time()
            yield
            times[phase][0] += time.perf_counter() - wall
            times[phase][1] += time.process_time() - cpu
            peaks[phase] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

        classify = toy.Words.classify

        def timed_classify(self: toy.Words, batch: Sequence[Any]) -> list[Any]:
            with timed("model"):
                return classify(self, batch)

        toy.Words.classify = timed_classify  # type: ignore[method-assign]
        with timed("plan"):
            planned = plan(suite, Registry(()))
        with timed("run"):
            run_plan(planned, folder / "run")
        for i in (0, 1):
            times["run"][i] -= times["model"][i]
        with timed("report"):
            write_reports(folder / "run", summarise(folder / "run"))
        with timed("again"):
            run_plan(planned, folder / "run")
        return {
            **stored(folder / "run" / "run.db"),
            "times": times,
            "peaks": peaks,
            "peak_mb": max(peaks.values()),
            "db_mb": (folder / "run" / "run.db").stat().st_size / 2**20,
        }


def stored(path: Path) -> dict[str, Any]:
    """How many bytes of text each kind of item, the samples and the answers have in the store."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        records = "SELECT kind, SUM(LENGTH(scores) + LENGTH(artifacts)) FROM records r JOIN items i ON i.id = r.item GROUP BY kind"
        sizes = dict(db.execute(records).fetchall())
        sizes["samples"] = db.execute("SELECT SUM(LENGTH(facts) + LENGTH(sample)) FROM samples").fetchone()[0]
        num, sizes["answers"] = db.execute("SELECT COUNT(*), SUM(LENGTH(key) + LENGTH(response)) FROM answers").fetchone()
    return {"bytes": sizes, "answers": num}


def write_task(folder: Path, num: int, source: str) -> None:
    """``num`` notes that all differ, every fifth with the wrong label."""
    with (folder / "notes.jsonl").open("w") as file:
        for i in range(num):
            text = f"a {('bad', 'good')[i % 2]} note number {i} about the weather and other things of the day"
            file.write(json.dumps({"text": text, "mood": ("negative", "positive")[(i + (i % 5 == 4)) % 2]}) + "\n")
    (folder / "notes.py").write_text(
        "import json\nfrom pathlib import Path\n\ndef rows():\n    with Path(__file__).with_name('notes.jsonl').open() as file:\n"
        "        yield from map(json.loads, file)\n"
    )
    data = "{files: notes.jsonl}" if source == "jsonl" else "{python: 'notes.py:rows'}"
    (folder / "notes.yaml").write_text(
        f"family: text_classification\ndata: {data}\ntext: text\nlabel: mood\nlabels: [negative, positive]\n"
        "metrics: [accuracy, f1_macro, ece]\n"
    )


if __name__ == "__main__":
    main()
