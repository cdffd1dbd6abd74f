"""Rows of a data set: every form and format from files made here, and errors that say what to do. No network."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from windtunnel.harness.api.errors import ConfigError, DataError, SampleError, UserError
from windtunnel.harness.data import DataSpec, load


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def write(path: Path, content: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())
    return str(path)


def rows(**spec: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in load(DataSpec.parse(spec)).rows]


def test_jsonl_json_parquet_text(tmp_path: Path) -> None:
    want = [{"a": "x", "n": 1}, {"a": "", "n": 2}]
    lines = "".join(json.dumps(row) + "\n" for row in want)
    assert rows(files=write(tmp_path / "r.jsonl", lines)) == want
    assert rows(files=write(tmp_path / "r.json", json.dumps(want))) == want
    assert rows(files=write(tmp_path / "r.dat", lines), format="jsonl") == want
    import pandas as pd

    pd.DataFrame(want).to_parquet(tmp_path / "r.parquet")
    assert rows(files=str(tmp_path / "r.parquet")) == want
    assert rows(files=write(tmp_path / "r.txt", "one\n\ntwo\n")) == [{"text": "one"}, {"text": ""}, {"text": "two"}]
    assert rows(files=str(tmp_path / "r.txt"), options={"sample_by": "document"}) == [{"text": "one\n\ntwo\n"}]


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compressed(tmp_path: Path, suffix: str, compress: Any) -> None:
    (tmp_path / f"r.txt{suffix}").write_bytes(compress(b"one\ntwo\n"))
    (tmp_path / f"r.csv{suffix}").write_bytes(compress(b"a,b\n1,2\n"))
    assert rows(files=str(tmp_path / f"r.txt{suffix}")) == [{"text": "one"}, {"text": "two"}]
    assert rows(files=str(tmp_path / f"r.csv{suffix}")) == [{"a": "1", "b": "2"}]


def test_cells_stay_as_written(tmp_path: Path) -> None:
    """pandas alone would read 1.50 as a number and None, NA, nan and the empty cell as missing."""
    path = write(tmp_path / "r.csv", 'a,b\n1.50,None\n007,NA\n"say ""hi"", now",\n')
    assert rows(files=path) == [{"a": "1.50", "b": "None"}, {"a": "007", "b": "NA"}, {"a": 'say "hi", now', "b": ""}]


def test_tsv_has_no_quoting_and_needs_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "dev.tsv", '"an open quote\t0\nit "s fine\t1\n')
    names = {"column_names": ["sentence", "label"]}
    assert rows(files=path, options=names) == [{"sentence": '"an open quote', "label": "0"}, {"sentence": 'it "s fine', "label": "1"}]
    with pytest.raises(DataError, match=r"line 1: 2 cells, but column_names has 3 names"):
        rows(files=path, options={"column_names": ["a", "b", "c"]})


def test_a_column_without_a_name_has_the_one_that_pandas_gives_it(tmp_path: Path) -> None:
    path = write(tmp_path / "index.csv", ",a\n0,x\n1,y\n")
    assert rows(files=path) == [{"Unnamed: 0": "0", "a": "x"}, {"Unnamed: 0": "1", "a": "y"}]


def test_lists_globs_and_splits(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / f"{name}[1].txt", name)
    first, second = (str(tmp_path / f"{name}[1].txt") for name in "ab")
    assert rows(files=[second, first]) == [{"text": "b"}, {"text": "a"}]
    assert rows(files=str(tmp_path / "*.txt")) == [{"text": "a"}, {"text": "b"}]
    assert rows(files={"train": first, "test": second}, split="test") == [{"text": "b"}]
    with pytest.raises(DataError, match=r"no split 'tets'\. Did you mean 'test'\? Its splits: train, test"):
        rows(files={"train": first, "test": second}, split="tets")
    with pytest.raises(DataError, match="needs a split"):
        rows(files={"train": first, "test": second})
    with pytest.raises(DataError, match="name the files of each"):
        DataSpec(files=first).at("train")


def image(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.full((4, 5, 3), value, np.uint8)).save(path)


def test_image_folder_and_tar(tmp_path: Path) -> None:
    image(tmp_path / "im/cat/0.png", 10)
    image(tmp_path / "im/ant/0.png", 20)
    found = load(DataSpec(files=str(tmp_path / "im")))
    assert found.class_names == {"label": ("ant", "cat")}
    assert {row["label"]: np.asarray(row["image"].decode())[0, 0, 0] for row in found.rows} == {0: 20, 1: 10}
    with tarfile.open(tmp_path / "im.tar", "w") as tar:
        for path in sorted((tmp_path / "im").rglob("*.png")):
            tar.add(path, path.relative_to(tmp_path))
    found = load(DataSpec(files=str(tmp_path / "im.tar")))
    assert [(row["__key__"], np.asarray(row["png"].decode())[0, 0, 0]) for row in found.rows] == [("im/ant/0", 20), ("im/cat/0", 10)]


def test_python_rows(tmp_path: Path) -> None:
    write(
        tmp_path / "mine.py", "def rows(split='test'):\n    yield {'text': split}\ndef bad():\n    return [1]\ndef none():\n    return []\n"
    )
    assert list(load(DataSpec.parse({"python": "mine.py:rows"}, tmp_path)).rows) == [{"text": "test"}]
    assert list(load(DataSpec.parse({"python": "mine.py:rows", "split": "train"}, tmp_path)).rows) == [{"text": "train"}]
    for name, match in (("bad", "must yield one dict per row"), ("none", "is empty"), ("bda", "has no 'bda'. Did you mean 'bad'")):
        with pytest.raises(UserError, match=match):
            load(DataSpec.parse({"python": f"mine.py:{name}"}, tmp_path))
    with pytest.raises(UserError, match="there is no file"):
        load(DataSpec.parse({"python": "other.py:rows"}, tmp_path))


def test_python_rows_may_come_from_a_file_with_dataclasses(tmp_path: Path) -> None:
    """Such a file looks itself up among the modules while it is run."""
    text = "from __future__ import annotations\nfrom dataclasses import asdict, dataclass\n@dataclass\nclass Row:\n    text: str\n"
    write(tmp_path / "typed.py", text + "def rows():\n    return [asdict(Row('a'))]\n")
    assert list(load(DataSpec.parse({"python": "typed.py:rows"}, tmp_path)).rows) == [{"text": "a"}]


def test_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one = load(DataSpec(files=write(tmp_path / "a/r.txt", "one\n")))
    assert one.fingerprint == load(DataSpec(files=write(tmp_path / "b/r.txt", "one\n"))).fingerprint
    times = (tmp_path / "a/r.txt").stat()
    write(tmp_path / "a/r.txt", "two\n")
    os.utime(tmp_path / "a/r.txt", ns=(times.st_atime_ns, times.st_mtime_ns))
    two = load(DataSpec(files=str(tmp_path / "a/r.txt")))
    assert two.fingerprint != one.fingerprint
    assert [row["text"] for row in two.rows] == ["two"], "rows of an older file of the same path and time came from a cache"


def test_columns_are_listed(tmp_path: Path) -> None:
    found = load(DataSpec(files=write(tmp_path / "r.csv", "sentence,label\na,0\n")))
    with pytest.raises(DataError, match=r"no column 'sentense'\. Did you mean 'sentence'\? Its columns: sentence, label"):
        found.require(["label", "sentense"])


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ({}, "one of 'hub', 'files' or 'python'; it has none"),
        ({"hub": "a/b", "files": "c"}, "has hub and files"),
        ({"hub": "a/b", "splt": "test"}, "no key 'splt'. Did you mean 'split'"),
        ({"files": "a", "format": "cvs"}, "no format 'cvs'. Did you mean 'csv'"),
        ({"files": "a", "revision": "main"}, "'revision' does not go with 'files'"),
        ({"python": "module"}, "module:function"),
        ({"hub": "a/b", "split": 3}, "split is text"),
        ("sst2", "data is a mapping"),
    ],
)
def test_specs_that_cannot_be(spec: object, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        DataSpec.parse(spec)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*gone\.csv"):
        rows(files=str(tmp_path / "gone.csv"))
    with pytest.raises(DataError, match=r"format of r\.xyz is not known"):
        rows(files=write(tmp_path / "r.xyz", "a"))
    with pytest.raises(DataError, match="is empty"):
        rows(files=write(tmp_path / "head.csv", "a,b\n"))
    with pytest.raises(DataError):
        rows(files=write(tmp_path / "nothing.csv", ""))
    with pytest.raises(DataError):
        rows(files=write(tmp_path / "nothing.jsonl", ""))
    with pytest.raises(DataError, match=r"broken\.jsonl, line 2: this is not JSON"):
        rows(files=write(tmp_path / "broken.jsonl", '{"a": 1}\n{"a": '))
    with pytest.raises(DataError, match="fild"):
        rows(files=write(tmp_path / "r.jsonl", '{"a": 1}\n'), options={"fild": "a"})
    with pytest.raises(DataError, match="is a folder"):
        rows(files=str(tmp_path), format="csv")


@pytest.mark.parametrize("how", ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"])
def test_offline_is_an_error_without_the_network(monkeypatch: pytest.MonkeyPatch, no_network: None, how: str) -> None:
    for flag in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(flag, raising=False)
    monkeypatch.setenv(how, "1")
    with pytest.raises(DataError) as caught:
        load(DataSpec(hub="stanfordnlp/sst2", split="validation"))
    for part in ("load_dataset('stanfordnlp/sst2')", "data: {files: ...}", "offline"):
        assert part in str(caught.value)


def test_unreachable_hub_falls_back_to_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def refuse(*args: Any, **kwargs: Any) -> None:
        assert kwargs["timeout"] <= 5
        raise ConnectionError("refused")

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    with pytest.raises(DataError, match="did not answer within 5 s"):
        load(DataSpec(hub="stanfordnlp/sst2", split="validation"))


def cached(folder: Path, built: Any, commit: str) -> None:
    """The layout that `datasets` leaves behind when it has loaded a Hub data set once."""
    name = built.name
    target = folder / "hf/owner___name/default/0.0.0" / commit
    target.mkdir(parents=True)
    (target / "name-validation.arrow").write_bytes((Path(built.cache_dir) / f"{name}-validation.arrow").read_bytes())
    info = json.loads((Path(built.cache_dir) / "dataset_info.json").read_text()) | {"config_name": "default", "dataset_name": "name"}
    info["splits"]["validation"]["dataset_name"] = "name"
    (target / "dataset_info.json").write_text(json.dumps(info))


def test_hub_data_set_from_the_cache(tmp_path: Path) -> None:
    import datasets

    built = datasets.load_dataset_builder(
        "json", data_files={"validation": [write(tmp_path / "r.jsonl", '{"text": "x"}\n')]}, cache_dir=str(tmp_path / "build")
    )
    built.download_and_prepare()
    commit = "0123456789" * 4
    cached(tmp_path, built, commit)
    assert rows(hub="owner/name", split="validation") == [{"text": "x"}]
    assert rows(hub="owner/name", revision=commit) == [{"text": "x"}]
    with pytest.raises(DataError, match=r"no split 'test'.* Its splits: validation"):
        rows(hub="owner/name", split="test")
    with pytest.raises(DataError, match="holds revision 0123"):
        rows(hub="owner/name", revision="f" * 40)
    with pytest.raises(DataError, match=r"Available configs in the cache: \['default'\]"):
        rows(hub="owner/name", config="other")

    def fingerprint() -> str:
        return load(DataSpec(hub="owner/name", split="validation")).fingerprint

    (arrow,), first = (tmp_path / "hf").rglob("name-validation.arrow"), fingerprint()
    os.utime(arrow, (1, 1))
    assert fingerprint() == first, "when it was fetched is no matter"
    arrow.write_bytes(arrow.read_bytes().replace(b"x\0\0\0", b"y\0\0\0"))
    assert rows(hub="owner/name", split="validation") == [{"text": "y"}]
    assert fingerprint() != first, "what lies there now is"


def test_an_image_of_the_hub_that_does_not_decode_is_no_matter_of_its_rows(tmp_path: Path) -> None:
    import datasets
    import pyarrow as pa
    from pyarrow import parquet

    image(tmp_path / "x.png", 7)
    good, bad = (tmp_path / "x.png").read_bytes(), b"no image"
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    stored = pa.array([{"bytes": d, "path": None} for d in (good, bad)], pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    table = pa.table({"image": stored, "label": [1, 0]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, tmp_path / "r.parquet")
    built = datasets.load_dataset_builder(
        "parquet", data_files={"validation": [str(tmp_path / "r.parquet")]}, cache_dir=str(tmp_path / "build")
    )
    built.download_and_prepare()
    cached(tmp_path, built, "0" * 40)
    found = load(DataSpec(hub="owner/name", split="validation"))
    assert found.class_names == {"label": ("cat", "dog")}
    assert [row["label"] for row in found.rows] == [row["label"] for row in found.select({"label"})] == [1, 0]
    assert np.asarray(found.rows[0]["image"].decode())[0, 0, 0] == 7
    with pytest.raises(SampleError, match="image of row 1 cannot be decoded"):
        found.rows[1]["image"].decode()


def test_silent_and_without_trace(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import datasets

    before = datasets.logging.get_verbosity(), datasets.utils.are_progress_bars_disabled()
    rows(files=write(tmp_path / "r.txt", "one\n"))
    assert (datasets.logging.get_verbosity(), datasets.utils.are_progress_bars_disabled()) == before
    assert capfd.readouterr() == ("", "")


def test_import_is_light() -> None:
    code = "import sys, windtunnel.harness.data; print([m for m in ('datasets', 'torch', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("form", ["lines", "array"])
def test_a_lone_surrogate_spoils_its_own_row_alone(tmp_path: Path, form: str) -> None:
    """JSON can write half of a pair."""
    lines = [
        r'{"text": "good \ud800 film", "label": 1, "more": [1, {"a": null}]}',
        r'{"text": "bad \ud83d\ude00 film"}',
        '{"text": "x", "label": 0}',
    ]
    path = tmp_path / "rows.json"
    path.write_text("\n\n".join(lines) if form == "lines" else f"[{', '.join(lines)}]")
    rows = load(DataSpec(files=str(path)))
    assert rows.columns == ("text", "label", "more")
    assert list(rows.rows) == [
        {"text": "good \ud800 film", "label": 1, "more": [1, {"a": None}]},
        {"text": "bad 😀 film", "label": None, "more": None},
        {"text": "x", "label": 0, "more": None},
    ]
    assert rows.fingerprint != load(DataSpec(files=str(_copy(path, "ud800", "ud801")))).fingerprint


def _copy(path: Path, before: str, after: str) -> Path:
    other = path.with_name(f"other_{path.name}")
    other.write_text(path.read_text().replace(before, after))
    return other


@pytest.mark.parametrize("text", [r'{"text": "\ud800"} and more', '{"text": "x"'])
def test_what_is_no_json_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(DataError, match="line 1: this is not JSON"):
        load(DataSpec(files=str(tmp_path / "rows.jsonl")))
