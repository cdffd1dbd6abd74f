"""What can be compared, the family of tests, flips, fidelity, and the verb."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from windtunnel.harness.api.comparison import BETTER, NO_CHANGE, NOT_TESTED, WORSE, Comparison, RowChange
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.scorecard import Estimate, Row, Scorecard
from windtunnel.harness.cli.comparison_text import format_comparisons
from windtunnel.harness.results.baseline import make_baseline
from windtunnel.harness.results.compare import compare_paths
from windtunnel.harness.results.comparison import Side, pair_sides
from windtunnel.harness.results.comparison.rows import decide
from windtunnel.harness.results.frames import load
from windtunnel.tests.planted import run_planted
from windtunnel.tests.toys import windtunnel

SMALL = {"num": 80}
SUITE = {"attacks": ["emphasis"], "probes": [{"probe": "occlusion", "limit": 20, "scores": ["erasure"]}]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def before(place: Path) -> Path:
    return run_planted(place, "before", SUITE, SMALL)


@pytest.fixture(scope="module")
def after(place: Path) -> Path:
    return run_planted(place, "after", SUITE, SMALL, overall=0.3, redundant=True)


def change(p_value: float | None, value: float = -0.1, *, higher: bool | None = True, is_headline: bool = False) -> RowChange:
    row = Row("m", ItemKey("task", "t"), "x", "quality", Estimate(0.5), higher)
    return RowChange(row, Estimate(0.6), Estimate(value, 1.5 * value, 0.5 * value), p_value, is_headline=is_headline)


def test_flips_are_the_samples_with_other_outcomes(before: Path, after: Path) -> None:
    (comparison,) = compare_paths(before, [after])
    outcomes = [{r.sample_id: r.scores["correct"] for r in records(folder)} for folder in (before, after)]
    expected = {key for key, score in outcomes[0].items() if score != outcomes[1][key]}
    flips = [flip for flip in comparison.flips if flip.key.is_task]
    assert {flip.sample_id for flip in flips} == expected
    assert len(expected) > 5
    assert all(flip.change == "regressed" for flip in flips)
    assert all(flip.before == flip.target != flip.after for flip in flips)
    assert all(flip.input is not None and flip.input.text.startswith(flip.sample_id[1:]) for flip in flips)
    sizes = [flip.size for flip in flips]
    assert sizes == sorted(sizes, reverse=True)
    whole = next(count for count in comparison.counts if count.key.is_task and count.part == "all")
    assert (whole.regressed, whole.fixed, whole.n) == (len(expected), 0, 80)
    for part in ("slice", "class"):
        parts = [count for count in comparison.counts if count.key.is_task and count.part == part]
        assert sum(count.regressed for count in parts) == len(expected)


def records(folder: Path) -> list:  # type: ignore[type-arg]
    from windtunnel.tests.toys import records_of

    return records_of(folder)["model/numbered"]


def test_new_failures_under_attack_show_both_twins(before: Path, after: Path) -> None:
    (comparison,) = compare_paths(before, [after])
    attacked = [flip for flip in comparison.flips if flip.key.kind == "attack" and flip.change == "regressed"]
    assert attacked
    assert any(flip.before is not None and "really" in flip.before for flip in attacked)


def test_the_rows_are_those_of_both(before: Path, after: Path) -> None:
    (comparison,) = compare_paths(before, [after])
    cards = [load(folder).scorecard for folder in (before, after)]
    known = [{(row.item, row.name): row.estimate for row in (*card.rows, *card.times)} for card in cards]
    for found in comparison.rows:
        key = found.row.item, found.row.name
        if key in known[0] and found.difference.n in (0, known[0][key].n) and known[0][key].n == known[1][key].n:
            assert (found.baseline.value, found.row.estimate.value) == (known[0][key].value, known[1][key].value), key
        assert found.row.evidence is None
    assert [str(c.row.key) for c in comparison.rows if c.is_headline and c.row.metric != "seconds_per_sample"] == [
        "numbered", "emphasis(numbered)", "occlusion(numbered)"
    ]  # fmt: skip


def test_fidelity_is_computed_from_the_outputs_of_both(before: Path, after: Path) -> None:
    (comparison,) = compare_paths(before, [after])
    found = {row.name: row.estimate for row in comparison.fidelity if row.key.is_task}
    first, second = (
        {r.sample_id: (r.artifacts["prediction"], np.array(r.artifacts["probabilities"])) for r in records(folder)}
        for folder in (before, after)
    )
    divergences = [float(p @ np.log(p / second[key][1])) for key, (_, p) in first.items()]
    assert found["kl_divergence"].value == pytest.approx(np.mean(divergences))
    assert found["max_kl_divergence"].value == pytest.approx(max(divergences))
    assert found["answers_changed"].value == np.mean([answer != second[key][0] for key, (answer, _) in first.items()])


def test_explanations_that_moved_stand_beside_the_verdict() -> None:
    key = ItemKey("probe", "t", "occlusion")
    rows = [Row("m", key, "explanations_moved", "interpretability", Estimate(0.4, low, 0.7, 20)) for low in (0.3, 0.1)]
    many, few = (Comparison("before", "after", (), fidelity=(row,)) for row in rows)
    assert (many.remarks, few.remarks) == (["40% of the explanations of occlusion(t) moved"], [])
    assert format_comparisons([many]).startswith("after against before: not tested; 40% of the explanations of occlusion(t) moved\n")


def test_a_run_is_equal_to_itself(before: Path) -> None:
    (comparison,) = compare_paths(before, [before])
    assert not comparison.flips
    assert not comparison.notes
    assert comparison.verdict == NO_CHANGE
    assert all(found.difference.value in (0, None) for found in comparison.rows)


@pytest.mark.parametrize(
    ("suite", "task", "words"),
    [
        ({}, {"num": 40}, "limit (80, then 40)"),
        ({}, {**SMALL, "first": 2}, "data"),
        ({}, {**SMALL, "wording": "Is this good? {}"}, "definition of the task, or its prompts"),
        ({"seed": 5}, SMALL, "seed"),
    ],
    ids=["limit", "data", "prompt", "seed"],
)
def test_unlike_runs_are_refused(place: Path, before: Path, suite: dict, task: dict, words: str, request: pytest.FixtureRequest) -> None:  # type: ignore[type-arg]
    other = run_planted(place, request.node.callspec.id, {**SUITE, **suite}, task)
    with pytest.raises(ConfigError) as refused:
        compare_paths(before, [other])
    assert words in str(refused.value)
    (comparison,) = compare_paths(before, [other], allow_mismatch=True)
    assert any(words in sentence for sentence in comparison.mismatches)
    drop = "{check: numbered.accuracy, drop: 0.9}"
    (refused_gate,), (gate,) = (
        json.loads(windtunnel("gate", other, drop, "--baseline", before, "--json", *flags).out)["gates"]
        for flags in ([], ["--allow-mismatch"])
    )
    assert (refused_gate["outcome"], words in refused_gate["detail"]) == ("no_data", True)
    assert (gate["outcome"], words in gate["mismatches"][0]) == ("pass", True)


def test_samples_that_one_side_lacks_are_named(place: Path, before: Path) -> None:
    other = run_planted(place, "fewer", SUITE, {"num": 78, "first": 1})
    (comparison,) = compare_paths(before, [other], allow_mismatch=True)
    accuracy = comparison.rows[0]
    assert accuracy.difference.n == accuracy.baseline.n == accuracy.row.estimate.n == 78
    assert any("before: model has a score of 2 samples (s0, s79)" in note for note in comparison.notes)


def test_a_baseline_file_is_a_side(place: Path, before: Path, after: Path) -> None:
    path = place / "baseline.json"
    path.write_text(make_baseline(before))
    (of_file,), (of_folder,) = compare_paths(path, [after]), compare_paths(before, [after])
    whole = {(c.row.item, c.row.name): c for c in of_folder.rows}
    assert {c.row.name for c in of_file.rows if c.row.key.is_task} >= {"seconds_per_sample"}
    for found in of_file.rows:
        assert found.difference == whole[found.row.item, found.row.name].difference
    assert [flip.sample_id for flip in of_file.flips if flip.key.is_task] != []
    assert all(flip.before is None and flip.after is not None for flip in of_file.flips if flip.key.is_task)
    assert any("a baseline file has no outputs" in note for note in of_file.notes)


def test_the_family_is_corrected_and_headlines_have_half_of_the_error_rate() -> None:
    """Of one headline and four others, the weights are 5/9 and 1/9; with two times, 1/2, 1/10 and 1/20."""
    decided = decide([change(0.02, is_headline=True), *[change(p) for p in (0.02, 0.5, 0.9, 1.0)], change(0.0, higher=None), change(None)])
    assert [found.verdict for found in decided] == [WORSE, NO_CHANGE, NO_CHANGE, NO_CHANGE, NO_CHANGE, NOT_TESTED, NOT_TESTED]
    assert decided[0].adjusted_p_value == pytest.approx(0.02 * 9 / 5)
    assert decided[1].adjusted_p_value == pytest.approx(0.02 * 4)
    time = replace(change(0.9), row=replace(change(0.9).row, metric="seconds_per_sample"), is_headline=True)
    with_times = decide([change(0.02, is_headline=True), *[change(0.5)] * 4, time, time])
    assert with_times[0].adjusted_p_value == pytest.approx(0.04)
    unbounded = replace(change(0.001), difference=Estimate(-0.1, reason="too few to bound"))
    assert decide([unbounded])[0].verdict == NOT_TESTED
    around_0 = replace(change(0.001), difference=Estimate(-0.1, -0.3, 0.1))
    assert decide([around_0])[0].verdict == NO_CHANGE
    both = Comparison("before", "after", tuple(decide([change(1e-9), change(0.001, is_headline=True)])))
    assert [found.is_headline for found in both.of_verdict(WORSE)] == [True, False], "headlines come first"
    lower = decide([change(0.001, higher=False)])
    assert lower[0].verdict == BETTER


def test_a_change_that_the_correction_takes_away_has_both_p_values() -> None:
    decided = decide([change(0.03, is_headline=True), *[change(0.5)] * 4])
    text = format_comparisons([Comparison("before", "after", tuple(replace(found, is_headline=True) for found in decided))])
    assert "[-0.15, -0.05]  no change shown, p = 0.054, 0.03 before the correction for the number of rows" in text
    assert text.count("before the correction") == 1, "a p-value of 0.5 shows nothing alone"


def test_models_are_paired_by_name_or_are_the_only_ones() -> None:
    def sides(*names: str) -> list[Side]:
        return [Side("run", name, Scorecard({}, ())) for name in names]

    def names(pairs: list[tuple[Side, Side]]) -> list[str]:
        return [f"{first.model}-{second.model}" for first, second in pairs]

    assert names(pair_sides(sides("a"), sides("b", "c"))) == ["a-b", "a-c"]
    assert names(pair_sides(sides("a", "b"), sides("b"))) == ["b-b"]
    with pytest.raises(ConfigError, match="the baseline has a, b, the candidate c; choose one of the baseline's models with"):
        pair_sides(sides("a", "b"), sides("c"))


def test_the_verb(before: Path, after: Path) -> None:
    shown = windtunnel("compare", before, after, "--plugin", before.parent / "planted_plugins.py")
    assert shown.code == 0, shown.err
    assert shown.out.startswith("after: model against before: model: worse")
    assert "regressed" in shown.out
    several = windtunnel("compare", before, after, before)
    assert several.out.startswith("against before: model\n")
    page = before.parent / "page.html"
    assert windtunnel("compare", before, after, before, "--html", page).out.endswith(f"page: {page}\n")
    text = page.read_text()
    assert "<title>Comparison: " in text
    assert text.count("<h1") == 1
    assert all(words in text for words in ("Candidates", "Flips by slice and class", "Divergence of probabilities", "regressed"))
    assert not any(words in text for words in ('id="explorer"', 'id="provenance"', 'id="gates"'))
    (found,) = json.loads(windtunnel("compare", before, after, "--json").out)
    assert found["verdict"] == "worse"
    assert found["flips"][0]["change"] == "regressed"
    assert windtunnel("compare", before, after, "--baseline-model", "model").code == 0
    unknown = windtunnel("compare", before, after, "--baseline-model", "modl")
    assert (unknown.code, "Did you mean 'model'" in unknown.err) == (2, True)
    missing = windtunnel("compare", before, before.parent / "nowhere")
    assert missing.code == 2
    assert "nowhere" in missing.err


def test_models_of_one_run_are_compared_in_its_scorecard(place: Path) -> None:
    models = [{"model": "planted:x", "name": "today"}, {"model": "planted:x", "name": "next", "overall": 0.3}]
    folder = run_planted(place, "both", {"models": models}, SMALL)
    card = load(folder, [place / "planted_plugins.py"]).scorecard
    (comparison,) = card.comparisons
    assert (comparison.baseline, comparison.candidate, comparison.verdict) == ("today", "next", WORSE)
    assert all(row.evidence is None for row in card.rows)
    # Two equal runs have equal scorecards, but for their times.
    assert all(found.row.metric != "seconds_per_sample" for found in comparison.rows)
    (written,) = json.loads((folder / "results.json").read_text())["comparisons"]
    assert written["flips"][0]["sample_id"] == comparison.flips[0].sample_id
