"""What of a data set is not used is counted and said: by the plan, on the terminal, in the scorecard. A leak and a double id are no run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from windtunnel.harness.data.yaml_lines import dump, load
from windtunnel.tasks.few_shot import normalise_question
from windtunnel.tests.toys import Answer, windtunnel

CLASSIFICATION = "family: text_classification\ntext: text\nlabel: label\nmetrics: [accuracy]\n"
GENERATION = "family: generation\nprompt: q\ntarget: a\nmetrics: [exact_match]\n"
PARROT = """
def say(prompts):
    out = []
    for prompt in prompts:
        *before, question = prompt.split("\\n")
        out.append(next((line[len(question):].strip() for line in before if line.startswith(question)), "no idea"))
    return out
"""


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def run(folder: Path, verb: str, task: str, *options: Any, model: str = "toy:words", **files: str) -> Answer:
    """A verb on a task file, in a folder with these other files (a name's last underscore is its dot)."""
    for name, text in {"t_yaml": task, **files}.items():
        (folder / ".".join(name.rsplit("_", 1))).write_text(text)
    out = ("--out", folder / "run") if verb == "run" else ()
    kind, _, target = model.partition(":")
    where = f"{kind}:{folder / target}" if ".py:" in target else model
    return windtunnel(verb, "--model", where, "--tasks", folder / "t.yaml", *out, *options)


def card(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run/results.json").read_text())
    return found


# ── limits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


SORTED = "text,label\n" + "".join(f"bad {i},negative\n" for i in range(6)) + "".join(f"good {i},positive\n" for i in range(4))


@pytest.mark.parametrize("labels", ["labels: [negative, positive]\n", "labels: [negative, positive]\nslice: label\n"])
def test_a_limit_that_takes_one_class_is_a_flag(tmp_path: Path, labels: str) -> None:
    task = f"{CLASSIFICATION}{labels}data: {{files: t.csv}}\n"
    said = "the first 5 of 10 samples are of 1 of 2 classes (negative), so the numbers say nothing of positive; the setting shuffle ("
    answer = run(tmp_path, "plan", task, "--limit", 5, t_csv=SORTED)
    assert said in answer.out
    assert "data of t: the first 5 of 10 samples are taken" in answer.out
    answer = run(tmp_path, "run", task, "--limit", 5, "--gate", "t.accuracy.value > 0.1")
    gate = answer.out.split("\ngate ")[1]
    assert said in gate.splitlines()[1], "the terminal says it below the gate"
    assert said in card(tmp_path)["gates"][0]["detail"]
    assert said in (tmp_path / "run/junit.xml").read_text()
    assert said in (tmp_path / "run/summary.md").read_text()
    assert any(said in flag for flag in card(tmp_path)["manifest"]["flags"])
    assert said in (tmp_path / "run/scorecard.html").read_text()
    assert "1 of 2 classes" not in run(tmp_path, "plan", task, "--limit", 7).out
    assert "1 of 2 classes" not in run(tmp_path, "plan", f"{task}shuffle: 3\n", "--limit", 5).out
    shuffled = run(tmp_path, "plan", task, "--limit", 5, "--shuffle", 3).out
    assert "1 of 2 classes" not in shuffled
    assert "data of t: a random (shuffle: 3) 5 of 10 samples are taken" in shuffled


def test_a_limit_that_takes_other_shares_of_the_classes_is_a_flag(tmp_path: Path) -> None:
    def list_rows(*parts: tuple[str, int]) -> str:
        return "text,label\n" + "".join(f"a lamp,{label}\n" for label, num in parts for _ in range(num))

    task = f"{CLASSIFICATION}labels: [negative, positive]\ndata: {{files: t.csv}}\n"
    sorted_rows = list_rows(("positive", 5), ("negative", 95), ("positive", 100))
    answer = run(tmp_path, "plan", task, "--limit", 100, t_csv=sorted_rows)
    said = "of the first 100 of 200 samples, 5% are of the class positive, and of all 52%, so the numbers are not those of the whole"
    assert said in answer.out
    assert "of the whole" not in run(tmp_path, "plan", task, "--limit", 100, "--shuffle", 1).out
    rare = list_rows(("negative", 50), ("positive", 2), ("negative", 48), ("positive", 2))
    assert "of the whole" not in run(tmp_path, "plan", task, "--limit", 60, t_csv=rare).out


def test_a_limit_that_takes_one_slice_is_a_flag(tmp_path: Path) -> None:
    rows = [{"p": f"prompt {i}", "bad": i < 3} for i in range(6)]
    task = "family: behaviors\nprompt: p\nharmful: bad\nchat: false\ndata: {files: r.jsonl}\n"
    answer = run(tmp_path, "plan", task, "--limit", 3, model="toy:bytes", r_jsonl=lines(rows))
    assert "the first 3 of 6 samples are of 1 of 2 slices (harmful), so the numbers say nothing of benign" in answer.out


# ── rows and columns that are not used ────────────────────────────────────────────────────────────────────────────────


def test_a_plan_says_how_many_samples_cannot_be_used(tmp_path: Path) -> None:
    task = "family: multiple_choice\ncontext: q\nchoices: \"{{ c.split('|') }}\"\ntarget: t\ndata: {files: r.jsonl}\n"
    rows = [{"q": "?", "c": "one", "t": 0}, {"q": "?", "c": "two", "t": 0}]
    answer = run(tmp_path, "plan", task, model="toy:bytes", r_jsonl=lines(rows))
    assert "data of t: 2 of 2 samples cannot be used; the first: choices: must be a list of two or more, not ['one']" in answer.out
    assert answer.code == 3
    assert run(tmp_path, "run", task, model="toy:bytes").code == 3
    rows[0]["c"] = "one|two"
    answer = run(tmp_path, "plan", task, "--json", model="toy:bytes", r_jsonl=lines(rows))
    assert answer.code == 0
    assert json.loads(answer.out)["data"]["t"]["num_unusable"] == 1


def test_what_of_the_files_is_not_used_is_in_the_scorecard(tmp_path: Path) -> None:
    table = "text,label,more,id\ngood,positive,x,1\n\nbad,negative,y,2\n"
    task = f"{CLASSIFICATION}labels: [negative, positive]\ndata: {{files: r.csv}}\n"
    answer = run(tmp_path, "run", task, r_csv=table)
    notes = ["r.csv: 1 blank lines were skipped, the first is line 3", "columns that the task does not read: 2 (more, id)"]
    assert card(tmp_path)["manifest"]["data"] == {"t": {"notes": notes}}
    assert all(f"data of t: {note}" in answer.out for note in notes)
    assert windtunnel("report", tmp_path / "run").out.count("blank lines") == 1


def test_one_broken_image_is_one_record(tmp_path: Path) -> None:
    for name, value in (("dark/0.png", 10), ("bright/0.png", 240), ("bright/1.png", 240)):
        path = tmp_path / "im" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(np.full((8, 8), value, np.uint8)).save(path)
    (tmp_path / "im/bright/1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "im/dark/deep.png").write_bytes(b"")
    task = "family: image_classification\nimage: image\nmode: L\nlabel: label\nlabels: [dark, bright]\n"
    task += "data: {files: im}\nmetrics: [accuracy]\n"
    answer = run(tmp_path, "run", task, model="toy:bright")
    assert answer.code == 0
    (row,) = (row for row in card(tmp_path)["rows"] if row["metric"] == "accuracy")
    assert (row["estimate"]["value"], row["estimate"]["n"], row["estimate"]["n_unscored"]) == (1.0, 2, 2)
    assert "2 of 4 samples cannot be used; the first: image bright/1.png cannot be decoded" in answer.out


# ── ids ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ids", [[7, 7, 7, 7], ["7", 7, 7.0, 7], ["a", "b", "a", "b"], [True, "true", 1, 2]])
def test_ids_that_stand_for_several_rows_are_an_error(tmp_path: Path, ids: list[Any]) -> None:
    rows = [{"id": value, "text": f"good {i}", "label": "positive"} for i, value in enumerate(ids)]
    task = f"{CLASSIFICATION}labels: [negative, positive]\nid: id\ndata: {{files: r.jsonl}}\n"
    answer = run(tmp_path, "run", task, "--limit", 1, r_jsonl=lines(rows))
    assert answer.code == 2
    twice = [value for value in dict.fromkeys(str(v).lower() for v in ids) if [str(v).lower() for v in ids].count(value) > 1]
    for value in twice:
        assert f"'{value}' stands for {[str(v).lower() for v in ids].count(value)} rows" in answer.err


# ── few-shot examples ─────────────────────────────────────────────────────────────────────────────────────────────────

QUESTIONS = [
    {"q": f"Q: colour of {thing}? A:", "a": colour} for thing, colour in (("snow", "white"), ("coal", "black"), ("grass", "green"))
]
OTHERS = [{"q": f"Q: taste of {thing}? A:", "a": taste} for thing, taste in (("salt", "salty"), ("honey", "sweet"), ("lemon", "sour"))]
SHOTS = GENERATION + "data: {files: {test: q.jsonl, train: x.jsonl}, split: test}\nnum_fewshot: 2\n"


def exact_match(folder: Path) -> tuple[float, int]:
    (row,) = (row for row in card(folder)["rows"] if row["metric"] == "exact_match")
    return row["estimate"]["value"], row["estimate"]["n"]


@pytest.mark.parametrize(
    "leaked",
    [QUESTIONS[:1], [{"q": "q:  colour of SNOW?  a:", "a": "white"}], [{"q": "Q: colour of “snow”? A:", "a": "white"}], QUESTIONS],
)
def test_an_example_that_is_evaluated_is_passed_over(tmp_path: Path, leaked: list[Any]) -> None:
    answer = _generated(tmp_path, [*leaked, *OTHERS])
    assert answer.code == 0, answer.err
    assert exact_match(tmp_path) == (0.0, 3)
    assert f"few-shot examples: {len(leaked)} of the first {len(leaked) + 2} rows" in answer.out


def _generated(folder: Path, train: list[Any]) -> Answer:
    for name, text in (("p.py", PARROT), ("q.jsonl", lines(QUESTIONS)), ("x.jsonl", lines(train)), ("t.yaml", SHOTS)):
        (folder / name).write_text(text)
    suite = {"models": [{"model": "callable:p.py:say", "name": "parrot", "answers": "generate"}], "tasks": ["t.yaml"]}
    (folder / "s.yaml").write_text(dump(suite))
    return windtunnel("run", folder / "s.yaml", "--out", folder / "run")


@pytest.mark.parametrize(("train", "num", "among"), [(QUESTIONS, 3, 3), ([*QUESTIONS, OTHERS[0]], 4, 3)])
def test_too_few_examples_are_left(tmp_path: Path, train: list[Any], num: int, among: int) -> None:
    answer = _generated(tmp_path, train)
    assert answer.code == 2
    assert f"has {num} rows, {among} of which are also evaluated" in answer.err


def test_choices_are_part_of_the_question(tmp_path: Path) -> None:
    """Many questions begin alike."""
    same = {"q": "Which is true?", "c": ["fire is cold", "ice is cold"], "t": 1}
    other = {"q": "Which is true?", "c": ["a dog barks", "a cat barks"], "t": 0}
    task = "family: multiple_choice\ncontext: q\nchoices: c\ntarget: t\nnum_fewshot: 1\n"
    task += "data: {files: {test: q.jsonl, train: x.jsonl}, split: test}\n"
    answer = run(tmp_path, "plan", task, model="toy:bytes", q_jsonl=lines([same]), x_jsonl=lines([other]))
    assert answer.code == 0
    assert "skipped" not in answer.out
    turned = {**same, "c": same["c"][::-1], "t": 0}
    answer = run(tmp_path, "plan", task, model="toy:bytes", x_jsonl=lines([turned, other]))
    assert "few-shot examples: 1 of the first 2 rows" in answer.out


def test_what_makes_two_texts_the_same_question() -> None:
    assert normalise_question("Is it “so”,  really?") == normalise_question("is it so really")
    assert normalise_question("ﬁne") == normalise_question("fine")
    for one, other in (("1-1", "11"), ("x < y", "x > y"), ("2*3", "2+3"), ("a b", "ab")):
        assert normalise_question(one) != normalise_question(other)


# ── labels and names ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([True, False], "labels: [negative, positive]\nlabel_map: {true: positive, false: negative}"),
        ([True, False], 'labels: [negative, positive]\nlabel_map: {"true": positive, "false": negative}'),
        ([True, False], 'labels: [negative, positive]\nlabel_map: {"True": positive, "False": negative}'),
        (["True", "False"], "labels: [negative, positive]\nlabel_map: {true: positive, false: negative}"),
        (["TRUE", "FALSE"], "labels: [negative, positive]\nlabel_map: {true: positive, false: negative}"),
        (["yes", "no"], "labels: [negative, positive]\nlabel_map: {yes: positive, no: negative}"),
        (["on", "off"], "labels: [negative, positive]\nlabel_map: {on: positive, off: negative}"),
        ([1, 0], "labels: [negative, positive]"),
        (["1", "0"], "labels: [negative, positive]"),
        (["1", "0"], "labels: [negative, positive]\nlabel_map: {1: positive, 0: negative}"),
        ([1.0, 0.0], 'labels: [negative, positive]\nlabel_map: {"1": positive, "0": negative}'),
        (["007", "008"], "labels: [negative, positive]\nlabel_map: {007: positive, 008: negative}"),
        (["2021-03-04", "1999-12-31"], "labels: [negative, positive]\nlabel_map: {2021-03-04: positive, 1999-12-31: negative}"),
        (["12:30", "1_0"], "labels: [negative, positive]\nlabel_map: {12:30: positive, 1_0: negative}"),
    ],
)
def test_labels_are_matched_as_they_are_written(tmp_path: Path, values: list[Any], labels: str) -> None:
    rows = [{"text": text, "label": value} for text, value in zip(("good", "bad"), values, strict=True)]
    answer = run(tmp_path, "run", f"{CLASSIFICATION}{labels}\ndata: {{files: r.jsonl}}\n", r_jsonl=lines(rows))
    assert answer.code == 0, answer.err
    (row,) = (row for row in card(tmp_path)["rows"] if row["metric"] == "accuracy")
    assert (row["estimate"]["value"], row["estimate"]["n"]) == (1.0, 2), answer.out


@pytest.mark.parametrize(("values", "names"), [([True, False], "[false, true]"), (["True", "False"], "[false, true]"),
                                               (["yes", "no"], "[no, yes]"), ([5, 1], "[1, 5]"), (["5", "1"], "[1, 5]")])  # fmt: skip
def test_names_of_classes_may_be_no_text(tmp_path: Path, values: list[Any], names: str) -> None:
    (tmp_path / "m.py").write_text("def scores(texts):\n    return [['bad' in t, 'good' in t] for t in texts]\n")
    rows = [{"text": text, "label": value} for text, value in zip(("good", "bad"), values, strict=True)]
    answer = run(
        tmp_path, "run", f"{CLASSIFICATION}labels: {names}\ndata: {{files: r.jsonl}}\n", model="callable:m.py:scores", r_jsonl=lines(rows)
    )
    assert answer.code == 0, answer.err
    (row,) = (row for row in card(tmp_path)["rows"] if row["metric"] == "accuracy")
    assert (row["estimate"]["value"], row["estimate"]["n"]) == (1.0, 2), answer.out


def test_plain_words_of_yaml() -> None:
    text = "[yes, no, on, off, true, FALSE, null, ~, 007, 1_000, 12:30, 2021-03-04, 1e-3, 1.5, .5, -3, 0x1f, '1']"
    want = ["yes", "no", "on", "off", True, False, None, None, "007", "1_000", "12:30", "2021-03-04", 0.001, 1.5, 0.5, -3, "0x1f", "1"]
    found, _ = load(text, "s")
    assert found == want
    assert list(map(type, found)) == list(map(type, want))
    want += ["1e-3", "true", "", "~", ".5"]
    assert load(dump(want), "s")[0] == want


# ── templates ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "target", "want"),
    [
        (1.50, "{{ this['the answer'] }}", "1.5"),
        ("2021-03-04", "the answer", "2021-03-04"),
        ("007", "{{ this['the answer'] }}", "007"),
        (12345678901234567890123, "{{ this['the answer'] }}", "12345678901234567890123"),
        (True, "{{ 'yes' if this['the answer'] else 'no' }}", "yes"),
        (True, "{{ this['the answer'] }}", None),
        (float("nan"), "{{ this['the answer'] }}", None),
        (None, "the answer", None),
        (3, "the answer", None),
    ],
)
def test_what_a_template_prints(tmp_path: Path, value: Any, target: str, want: str | None) -> None:
    from windtunnel.tasks.catalog import load_task

    (tmp_path / "r.jsonl").write_text(lines([{"q": "?", "the answer": value}]))
    (tmp_path / "t.yaml").write_text(f'family: generation\nprompt: q\ntarget: "{target}"\ndata: {{files: r.jsonl}}\n')
    (sample,) = load_task(tmp_path / "t.yaml").samples()
    assert sample.target == want
    assert ("error" in sample.metadata) == (want is None)


def test_a_column_in_this_must_be_there(tmp_path: Path) -> None:
    task = "family: generation\nprompt: \"{{ this['a b'] }}\"\ntarget: a\ndata: {files: r.csv}\n"
    assert "has no column 'a b'" in run(tmp_path, "plan", task, model="toy:bytes", r_csv="a,b\n1,2\n").err
