"""The bar fits the terminal, and keeps what matters: the item, its samples, and the rest of the run."""

from __future__ import annotations

import io
import re
import sys

import pytest
from windtunnel.harness.run.pace import Work
from windtunnel.harness.run.progress_bars import Bars

MODEL, ITEM = "sst2-minilm-base", "explanation_shift(integrated_gradients(sst2), deepwordbug(sst2))"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_bar_fits_its_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    with Bars(lambda model, item: "drop 0.1") as bars:
        bars.plan({(MODEL, ITEM): Work("probe", [20] * 100, 100)})
        bars.item(MODEL, ITEM, 0, 100)
        bars.batch("classify", 12_345, 678_901)
        bars.advance(25)
        bars._bars.refresh()
        bars.advance(75)
        bars.finish()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    drawn = [line for line in re.split(r"[\r\n]+", text) if "/100" in line]
    assert all(len(line) <= width for line in drawn)
    quarter = next(line for line in drawn if " 25/100" in line)
    assert quarter.startswith("[1/1] explanation_s")
    assert quarter.rstrip().endswith(" left")
    assert ("requests/s" in quarter) == (width == 120)
    assert f"[1/1] {MODEL}  {ITEM}: 100 samples done in " in text, "the whole line, whatever its length"
    assert text.rstrip().endswith("; drop 0.1")
