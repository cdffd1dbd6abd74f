"""What the page of a large run costs: CPU seconds to make it, and what a reader waits for in chromium. Run by hand:

    python bench/page.py [--num 100000] [--plain] [--folder FOLDER]

A toy model answers ``num`` notes of four authors, in two slices; a tenth of them is attacked. ``--plain``: one task without slices and
attack. ``--folder`` keeps the run for the next time.

Times in the page are the medians of five, from the event to the frame that shows its result. Needs playwright and chromium.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# `profile` is a module of Python's that torch imports; the file of that name here is another.
sys.path.append(sys.path.pop(0))

BUDGETS = {"ready": 3_000, "filter": 150, "nodes": 2_500, "megabytes": 25}

_SYLLABLES = ("an", "ber", "co", "da", "en", "fil", "gor", "ha", "in", "ka", "lo", "mer", "no", "or", "pes", "qui", "ro", "sta", "tu", "un")

_PLUGIN = '''
from dataclasses import replace

import numpy as np
from windtunnel import Attack, EditBudget, plugin


@plugin("attacks", "swap")
class Swap(Attack):
    """Replace the first word that the model knows."""

    requires = frozenset({"classify", "text"})

    def __init__(self):
        self.threat = EditBudget(max_words=1)

    def perturb(self, engine, samples, threat, rng):
        return [replace(s, input=s.input.replace("good", "bda", 1).replace("bad", "godo", 1)) for s in samples]
'''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=100_000)
    parser.add_argument("--plain", action="store_true", help="one task without slices and attack")
    parser.add_argument("--folder", type=Path, help="where the run is, or is put")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name)
        if not (folder / "run" / "run.db").exists():
            make_run(folder, given.num, given.plain)
        measure_report(folder / "run")
        measure_page(folder / "run" / "scorecard.html")


def make_run(folder: Path, num: int, plain: bool) -> None:
    """Run a suite of ``num`` notes into ``folder / "run"``."""
    from windtunnel.harness.api.registry import Registry
    from windtunnel.harness.plan.planner import plan
    from windtunnel.harness.run.runner import run_plan
    from windtunnel.harness.suite.load import make_suite

    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    words = sorted({"".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4))) for _ in range(3_000)}, key=len)
    weights = [1 / (rank + 1) for rank in range(len(words))]  # as frequent as the words of a language
    with (folder / "notes.jsonl").open("w") as file:
        for i in range(num):
            text = rng.choices(words, weights, k=rng.randint(8, 30))
            text[4] = rng.choice(("good", "bad"))
            mood = "positive" if (text[4] == "good") == (rng.random() < 0.9) else "negative"
            row = {"text": " ".join(text), "mood": mood, "author": f"author {i % 4}", "part": ("old", "new")[i % 5 == 0]}
            file.write(f"{json.dumps(row)}\n")
    more = "" if plain else "slice: part\ngroup: author\n"
    (folder / "notes.yaml").write_text(
        "family: text_classification\ndata: {python: 'notes.py:rows'}\ntext: text\nlabel: mood\nlabels: [negative, positive]\n" + more
    )
    (folder / "notes.py").write_text(
        "import json\nfrom pathlib import Path\n\ndef rows():\n    with Path(__file__).with_name('notes.jsonl').open() as file:\n"
        "        yield from map(json.loads, file)\n"
    )
    (folder / "swap.py").write_text(_PLUGIN)
    attacked = {} if plain else {"attacks": [{"attack": "swap", "limit": num // 10}], "plugins": ["swap.py"]}
    suite = make_suite({"name": "page", "models": ["toy:words"], "tasks": ["notes.yaml"], **attacked}, base=folder)
    registry = Registry(suite.plugins)
    with Clocked("run"):
        run_plan(plan(suite, registry), folder / "run", registry=registry)


class Clocked:
    """Print the CPU seconds of a block."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        self._start = time.process_time()

    def __exit__(self, *_: object) -> None:
        print(f"{self._what}: {time.process_time() - self._start:.2f} CPU s", flush=True)


def measure_report(run: Path) -> None:
    """Print the CPU seconds of the scorecard and of its page."""
    from windtunnel.harness.results.summarise import summarise
    from windtunnel.harness.results.write_reports import write_reports

    with Clocked("scorecard"):
        card = summarise(run)
    with Clocked("page"):
        write_reports(run, card, {"html": {}})


def measure_page(page_file: Path) -> None:
    """Print what a reader waits for."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])

        def visit() -> Any:
            page = browser.new_context(viewport={"width": 1280, "height": 844}).new_page()
            page.goto(page_file.resolve().as_uri())
            page.wait_for_selector(".explorer[data-ready]", timeout=60_000)
            return page

        times = [float(visit().locator(".explorer").get_attribute("data-ready")) for _ in range(5)]
        found = {"ready": statistics.median(times)}
        page = visit()
        page.evaluate(_TIMED)
        clicks: dict[str, Callable[[], float]] = {
            "filter": lambda: page.evaluate("timed(() => facet('wrong').click())"),
            "search": lambda: page.evaluate("timed(() => type('weather'))"),
            "sort by number": lambda: page.evaluate("timed(() => sort('-confidence'))"),
            "sort by id": lambda: page.evaluate("timed(() => sort('id'))"),
            "scroll": lambda: page.evaluate("timed(() => { document.querySelector('.found').scrollTop = 1e6 * Math.random() })"),
        }
        for name, click in clicks.items():
            first = click()
            found[name] = max(first, statistics.median(click() for _ in range(4)))
            page.evaluate("timed(() => document.querySelector('.reset').click())")
        found["nodes"] = page.evaluate("document.querySelectorAll('*').length")
        found["megabytes"] = page_file.stat().st_size / 1e6
        print(page.locator(".kept").inner_text())
        browser.close()
    for name, value in found.items():
        limit = BUDGETS.get(name)
        print(f"{name}: {value:,.1f}" + ("" if limit is None else f" ({'below' if value < limit else 'NOT below'} {limit:,})"))


_TIMED = """
window.timed = async (act) => {
    await new Promise(requestAnimationFrame);
    const start = performance.now();
    act();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - start;
};
window.facet = (name) => [...document.querySelectorAll(".facets button")].find((each) => each.textContent.startsWith(name));
window.type = (text) => {
    const field = document.querySelector("#search");
    field.value = field.value === text ? text + " " + Math.floor(10 * Math.random()) : text;
    field.dispatchEvent(new Event("input"));
};
window.sort = (by) => {
    const field = document.querySelector("#sort");
    field.value = field.value === by ? "need" : by;
    field.dispatchEvent(new Event("change"));
};
"""


if __name__ == "__main__":
    main()
