"""Two probes of one task beside each other, and texts whose rows say what people marked."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from windtunnel.harness.api.errors import ConfigError, SampleError
from windtunnel.harness.api.samples import Record
from windtunnel.harness.data import DataSpec
from windtunnel.tasks.text_classification import TextClassification, parse_rationale
from windtunnel.tests.toys import planned, records_of, row, run

PROBES: list[dict[str, Any]] = [
    {"probe": "by_length"}, {"probe": "by_length", "name": "again", "scores": ["erasure"]}, {"probe": "feature_ablation", "limit": 7},
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agreement")
    run(folder, probes=PROBES, gates=[{"check": "by_length(notes).top_overlap_with_again.value >= 0.9"}])
    return folder


class TestAgreement:
    def test_rows_are_spearmans(self, folder: Path) -> None:
        from windtunnel.harness.results.summarise import summarise

        card = summarise(folder / "run")
        assert card.verdict == "pass"
        records = records_of(folder / "run")
        assert row(card, "by_length(notes)", "rank_correlation_with_again").estimate.value == pytest.approx(1)
        first, second = records["words/by_length(notes)"], records["words/feature_ablation(notes)"]

        def values(record: Record) -> Any:
            return np.asarray(record.artifacts["attribution"]["values"], dtype=float)

        pairs = [(values(a), values(b)) for a, b in zip(first, second, strict=False) if np.ptp(values(b)) > 0 and np.ptp(values(a)) > 0]
        found = row(card, "by_length(notes)", "rank_correlation_with_feature_ablation").estimate
        assert found.value == pytest.approx(np.mean([spearmanr(a, b).statistic for a, b in pairs]))
        assert found.n == len(pairs)
        assert row(card, "by_length(notes)", "top_overlap_with_feature_ablation").estimate.n == 7

    def test_scores_are_the_entrys_or_the_suites(self, folder: Path) -> None:
        from windtunnel.harness.results.summarise import summarise

        metrics = {r.name for r in summarise(folder / "run").rows if r.item == "again(notes)"}
        assert {"comprehensiveness", "sufficiency_random"} <= metrics
        assert not metrics & {"aopc", "infidelity", "complexity"}
        assert planned(folder, probes=["by_length"], scores=["curves"]).items[-1].scores == ("curves",)

    def test_all_probes_of_a_task_are_read_against_one_random_control(self, folder: Path) -> None:
        records = records_of(folder / "run")
        several = [records[f"words/{name}(notes)"] for name in ("by_length", "again", "feature_ablation")]
        for one, *others in zip(*several, strict=False):
            assert {r.scores["comprehensiveness_random"] for r in others} == {one.scores["comprehensiveness_random"]}

    def test_an_unknown_score(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"there is no score 'curve'.*curves"):
            planned(tmp_path, probes=[{"probe": "by_length", "scores": ["curve"]}])
        with pytest.raises(ConfigError, match="there is no score"):
            planned(tmp_path, scores=["everything"])


DICE = """
from windtunnel.harness.api.registry import plugin
from windtunnel.harness.api.samples import Attribution, SampleRng
from windtunnel.harness.modalities.words import word_spans

@plugin("probes", "dice")
class Dice:
    '''Draws what it says.'''
    requires = frozenset({"classify", "text"})

    def __init__(self, *, seed: int = 0):
        self.rng = SampleRng("dice", seed)

    def attribute(self, engine, samples):
        return [Attribution(s.id, 0, self.rng(s.id).normal(size=len(word_spans(s.input))), word_spans(s.input)) for s in samples]
"""


class TestSeeds:
    def test_rows_are_the_means_over_all_pairs(self, tmp_path: Path) -> None:
        (tmp_path / "dice.py").write_text(DICE)
        probes = [{"probe": "dice", "seeds": 3, "scores": ["complexity"]}]
        gates = [{"check": "dice(notes).rank_correlation_between_seeds.value <= 0.5"}]
        card = run(tmp_path, probes=probes, gates=gates, plugins=["toy_plugins.py", "dice.py"])
        assert card.verdict == "pass"
        records = records_of(tmp_path / "run")
        seeds = [records[f"words/dice{number}(notes)"] for number in ("", "#2", "#3")]
        assert all(not r.scores.get("complexity") for repeat in seeds[1:] for r in repeat), "of repeats, the attributions only"
        alike = []
        for several in zip(*seeds, strict=True):
            values = [np.asarray(r.artifacts["attribution"]["values"], dtype=float) for r in several]
            pairs = [(a, b) for a, b in combinations(values, 2) if np.ptp(a) > 0 and np.ptp(b) > 0]
            alike += [np.mean([spearmanr(a, b).statistic for a, b in pairs])] if pairs else []
        found = row(card, "dice(notes)", "rank_correlation_between_seeds").estimate
        assert (found.value, found.n) == (pytest.approx(np.mean(alike)), len(alike))
        assert found.n == 12
        assert not [r for r in card.rows if "with_dice#" in r.name]

    def test_what_draws_nothing_is_not_run_again(self, tmp_path: Path) -> None:
        plan = planned(tmp_path, probes=[{"probe": "feature_ablation", "seeds": 2}])
        assert [i.item for i in plan.items if i.kind.name == "probe"] == ["feature_ablation(notes)"]
        assert "draws nothing" in next(s.reason for s in plan.skipped if s.item == "feature_ablation#2(notes)")

    def test_repeats_begin_with_the_entrys_own_seed(self, tmp_path: Path) -> None:
        items = planned(tmp_path, probes=[{"probe": "lime", "seeds": 3, "seed": 5}]).items
        assert [i.settings["seed"] for i in items if i.kind.name == "probe"] == [5, 6, 7]
        assert [i.item for i in items if i.kind.name == "reliance"] == ["word_reliance(lime(notes))"]


class TestRationales:
    def task(self, tmp_path: Path, **settings: Any) -> TextClassification:
        rows = [
            {"text": "you absolute fool", "marks": "[4, 5, 6, 13, 14, 15, 16]"}, {"text": "fine", "marks": "[[0, 4]]"},
            {"text": "hm", "marks": "[7]"}, {"text": "oh", "marks": "[]"},
        ]  # fmt: skip
        path = tmp_path / "rows.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        data = DataSpec(files=str(path))
        return TextClassification("t", data, text="text", label="{{ 'bad' }}", labels=["ok", "bad"], rationale="marks", **settings)

    def test_they_are_in_the_samples(self, tmp_path: Path) -> None:
        samples = list(self.task(tmp_path).samples())
        assert samples[0].metadata == {"rationale": [[4, 7], [13, 17]]}
        assert samples[1].metadata == {"rationale": [[0, 4]]}
        assert "outside of the text" in samples[2].metadata["error"]
        assert samples[3].metadata == {"rationale": []}

    @pytest.mark.parametrize("value", ["none", "{", 3, [["a", "b"]], [[1]], [[5, 3]], [-1], [[0, 99]]])
    def test_what_is_no_rationale(self, value: Any) -> None:
        with pytest.raises(SampleError, match="rationale"):
            parse_rationale(value, 10)

    def test_a_pair_has_none(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="single text"):
            self.task(tmp_path, pair="marks")
