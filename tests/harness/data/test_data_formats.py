"""What stands in a data file is what a row has, or an error that names the line. Expected values are written by hand."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import math
import tarfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from windtunnel.harness.api.errors import DataError, SampleError
from windtunnel.harness.data import DataSpec, Rows, load
from windtunnel.harness.data.formats.encoded_image import EncodedImage

quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path: Path, content: str | bytes, **spec: Any) -> Rows:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(DataSpec(files=str(path), **spec))


# ── csv and tsv ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "options", "want"),
    [
        ("a,b\n007,1_000\nNA,null\nNone,nan\nTrue,FALSE\n", {}, [("007", "1_000"), ("NA", "null"), ("None", "nan"), ("True", "FALSE")]),
        ("a,b\n12345678901234567890123,1e400\n2021-03-04,\"1,000\"\n", {}, [("12345678901234567890123", "1e400"), ("2021-03-04", "1,000")]),
        ("a,b\n  x ,\n,y\n", {}, [("  x ", ""), ("", "y")]),
        ('a,b\n"line\r\nbreak","say ""hi"""\n', {}, [("line\r\nbreak", 'say "hi"')]),
        ("a,b\r\n1,2\r\n", {}, [("1", "2")]),
        ("a,b\r1,2\r", {}, [("1", "2")]),
        ("a,b\n1,2", {}, [("1", "2")]),
        ('a,b\n5" disk,6 " x\n', {}, [('5" disk', '6 " x')]),
        ("a;b\n1,5;2\n", {"delimiter": ";"}, [("1,5", "2")]),
        ("a|b\n1|2\n", {"delimiter": "|"}, [("1", "2")]),
        ("'a','b'\n'1,2','3'\n", {"quotechar": "'"}, [("1,2", "3")]),
        ('a,b\n"say \\"hi\\"",2\n', {"escapechar": "\\"}, [('say "hi"', "2")]),
        ('a,b\n1, "2, 3"\n', {"skipinitialspace": True}, [("1", "2, 3")]),
        ('a,b\n"1,2\n', {"quoting": False}, [('"1', "2")]),
        ("# made by hand\na,b\n1,2\n", {"skiprows": 1}, [("1", "2")]),
        ("1,2\n3,4\n", {"column_names": ["a", "b"]}, [("1", "2"), ("3", "4")]),
        ("1,2\n3,4\n", {"column_names": ("a", "b")}, [("1", "2"), ("3", "4")]),
        ("a,b\n\x00,\u2028\n", {}, [("\x00", "\u2028")]),
    ],
)  # fmt: skip
def test_cells_are_the_text_of_the_file(tmp_path: Path, content: str, options: Any, want: list[tuple[str, str]]) -> None:
    found = read(tmp_path / "t.csv", content, options=options)
    assert [tuple(row.values()) for row in found.rows] == want
    assert found.columns == ("a", "b")


@pytest.mark.parametrize(
    ("content", "options", "match"),
    [
        ("text,label\ngood,lamp,positive\nbad,negative\n", {}, r"line 2: 3 cells, but the first line names 2 .*1 of 2 rows"),
        ("text,label\nfine,1\nbad\nworse\n", {}, r"line 3: 1 cells.*2 of 3 rows do not fit\. Add the missing cells"),
        ('text,label\n"two\nlines",1\nx,y,z\n', {}, "line 4: 3 cells"),
        ("text,label\n0,good,1\n1,bad,0\n", {}, "Is there a column without a name"),
        ("a,b\n1,2,\n3,4,\n", {}, "line 2: 3 cells"),
        ("text;label\nfine, really;1\nbad;0\n", {"column_names": ["text", "label"]}, r"line 1: 1 cells, but column_names has 2"),
        ("text;label,x\na;b\n", {}, r"Is the delimiter ';'"),
        ('a,b\n1, "2, 3"\n', {}, "skipinitialspace"),
        ('a,b\n"1,2\n3,4\n', {}, r"line 2: a quote is opened here and never closed"),
        ('a,b\n1,2\n"x" y,3\n', {}, r"line 3: text follows a closing quote"),
        ('a,b\n"say \\"hi\\"",2\n', {}, "escapechar"),
        ("a,a\n1,2\n", {}, "not unique"),
        ("text,label\nx,1\n", {"column_names": ["text", "label"]}, "the same names as column_names"),
        ("a,b\n1,2\n", {"column_names": ["a"]}, r"line 1: 2 cells, but column_names has 1 names"),
        ('text\n"Hello", she said\n', {}, "line 2: 2 cells"),
        ("a,b\n1,2\n", {"sep": ";"}, r"no option 'sep'.* Its options: delimiter"),
        ("a,b\n1,2\n", {"delimiter": ", "}, "delimiter must be one character"),
        ("a,b\n1,2\n", {"column_names": "ab"}, "column_names: "),
        ("a,b\n1,2\n", {"quoting": 3}, "quoting: .*boolean"),
        ("a,b\n1,2\n", {"encoding": "utf-88"}, "no encoding 'utf-88'"),
    ],
)  # fmt: skip
def test_cells_that_do_not_fit_are_told_with_their_line(tmp_path: Path, content: str, options: Any, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read(tmp_path / "t.csv", content, options=options)


def test_a_file_of_one_column_has_no_delimiter(tmp_path: Path) -> None:
    found = read(tmp_path / "t.csv", 'text\nOnce, and "no" more\nplain\n"quoted, too"\n\n')
    assert [row["text"] for row in found.rows] == ['Once, and "no" more', "plain", "quoted, too"]
    assert found.notes == (
        "t.csv: 1 blank lines were skipped, the first is line 5",
        "t.csv has one column: in 1 of its rows ',' is part of the text",
    )


def test_a_delimiter_that_was_not_meant_is_guessed_in_the_error_alone(tmp_path: Path) -> None:
    found = read(tmp_path / "t.csv", "text;label\ngood, really;1\n")
    assert found.columns == ("text;label",)
    with pytest.raises(DataError, match=r"no column 'text'.*Is the delimiter ';'\? Then set data: \{options: \{delimiter: ';'\}\}"):
        found.require(["text"])


def test_blank_lines_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path / "t.csv", "\n\na,b\n1,2\n\n3,4\n")
    assert list(found.rows) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert found.notes == ("t.csv: 3 blank lines were skipped, the first is line 1",)


def test_tsv_in_quotes_is_asked_for(tmp_path: Path) -> None:
    text = 'a\tb\n"x\ty"\t1\n'
    with pytest.raises(DataError, match=r"quoting: true"):
        read(tmp_path / "t.tsv", text)
    assert list(read(tmp_path / "t.tsv", text, options={"quoting": True}).rows) == [{"a": "x\ty", "b": "1"}]


def test_several_files_are_joined_by_the_names_of_columns(tmp_path: Path) -> None:
    read(tmp_path / "a.csv", "x,y\n1,2\n")
    assert list(read(tmp_path / "b.csv", "y,x\n4,3\n").rows) == [{"y": "4", "x": "3"}]
    assert [dict(row) for row in load(DataSpec(files=str(tmp_path / "*.csv"))).rows] == [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]
    read(tmp_path / "c.csv", "x,z\n1,2\n")
    with pytest.raises(DataError, match=r"c\.csv has the columns x, z, but .*a\.csv has x, y"):
        load(DataSpec(files=str(tmp_path / "*.csv")))
    with pytest.raises(DataError, match="is named twice"):
        load(DataSpec(files=[str(tmp_path / "a.csv"), str(tmp_path / "[ab].csv")]))
    read(tmp_path / "d.jsonl", '{"x": "1"}\n')
    with pytest.raises(DataError, match=r"files of several formats: a\.csv \(csv\), d\.jsonl \(json\)"):
        load(DataSpec(files=[str(tmp_path / "a.csv"), str(tmp_path / "d.jsonl")]))


CELLS = st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=3, max_size=3), min_size=1, max_size=5)


@quick
@given(CELLS)
def test_what_python_writes_is_read_back(tmp_path: Path, cells: list[list[str]]) -> None:
    import csv

    with (tmp_path / "t.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["a", "b", "c"], *cells])
    assert [list(row.values()) for row in load(DataSpec(files=str(tmp_path / "t.csv"))).rows] == cells
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(dict(zip("abc", row, strict=True))) + "\n" for row in cells))
    assert [list(row.values()) for row in load(DataSpec(files=str(tmp_path / "t.jsonl"))).rows] == cells


# ── encodings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_no_text(tmp_path: Path, encoding: str) -> None:
    for name, text in (("t.csv", "text,b\ncafé,1\n"), ("t.jsonl", '{"text": "café", "b": "1"}\n'), ("t.txt", "café\n")):
        found = read(tmp_path / name, text.encode(encoding))
        assert found.columns[0] == "text"
        assert found.rows[0]["text"] == "café"


def test_bytes_of_another_encoding_are_told_with_their_line(tmp_path: Path) -> None:
    text = "text,b\nplain,1\nit’s,2\n".encode("cp1252")
    with pytest.raises(DataError, match=r"t\.csv, line 3: the byte 0x92 is not utf-8; .*\{options: \{encoding: cp1252\}\}"):
        read(tmp_path / "t.csv", text)
    assert read(tmp_path / "t.csv", text, options={"encoding": "cp1252"}).rows[1]["text"] == "it’s"
    assert read(tmp_path / "t.csv.gz", gzip.compress(text), options={"encoding": "cp1252"}).rows[1]["text"] == "it’s"
    with pytest.raises(DataError, match="byte order mark of utf-8"):
        read(tmp_path / "t.csv", "text\nx\n".encode("utf-8-sig"), options={"encoding": "cp1252"})


def test_utf_16_without_a_mark_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is it UTF-16\? Then set options: \{encoding: utf-16-le\}"):
        read(tmp_path / "t.csv", "text,b\nx,1\n".encode("utf-16-le"))
    assert read(tmp_path / "t.csv", "text,b\nx,1\n".encode("utf-16-le"), options={"encoding": "utf-16-le"}).rows[0]["text"] == "x"


@pytest.mark.parametrize("content", [b"no gzip at all", gzip.compress(b"a,b\n" * 1000)[:40]], ids=["of plain text", "cut off"])
def test_a_broken_archive_is_told(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"t\.csv\.gz cannot be read"):
        read(tmp_path / "t.csv.gz", content)


# ── json ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "value",
    ["2021-03-04", "2021-03-04T05:06:07Z", "12:30", "007", "", "null", 12345678901234567890123, 1, True, False, None, [1, "a", None],
     {"a": {"b": [2.5]}}, "😀"],
)  # fmt: skip
@pytest.mark.parametrize("form", ["lines", "array", "field"])
def test_json_values_are_as_written(tmp_path: Path, value: Any, form: str) -> None:
    rows = [{"a": value, "b": "x"}, {"a": "text", "b": 3}, {"b": None}]
    text = {"lines": "\n".join(map(json.dumps, rows)), "array": json.dumps(rows), "field": json.dumps({"version": 1, "data": rows})}[form]
    found = read(tmp_path / "t.json", text, options={"field": "data"} if form == "field" else {})
    assert list(found.rows) == [{"a": value, "b": "x"}, {"a": "text", "b": 3}, {"a": None, "b": None}]
    assert type(found.rows[0]["a"]) is type(value)


def test_a_number_prints_as_it_is_written(tmp_path: Path) -> None:
    (row,) = read(tmp_path / "t.jsonl", '{"a": 1.50, "b": 1e3, "c": 0.1, "d": NaN}\n').rows
    assert [str(row[name]) for name in "abc"] == ["1.50", "1e3", "0.1"]
    assert (row["a"], row["b"], row["c"] + 1) == (1.5, 1000.0, 1.1)
    assert math.isnan(row["d"])


@pytest.mark.parametrize(
    ("text", "options", "match"),
    [
        ('{"a": 1}\n\n{"a": 2\n', {}, "line 3: this is not JSON"),
        ('{"a": 1, "a": 2}\n', {}, "line 1: the key 'a' occurs twice"),
        ('{"a": {"b": 1, "b": 1}}\n', {}, "the key 'b' occurs twice"),
        ('{"a": 1}\n[2]\n', {}, "line 2: a row must be an object .* not an array"),
        ('[{"a": 1}, "x"]', {}, "element 1: a row must be an object .* not text"),
        ('{\n "version": 1,\n "data": []\n}', {}, "one object over several lines, with the keys 'version', 'data'"),
        ('{"data": [1]}', {"field": "rows"}, "'rows' is not an array of this file; its keys: 'data'"),
        ("[[[", {}, "line 1: this is not JSON"),
        ('{"a": ' + "[" * 30_000 + "]" * 30_000 + "}", {}, "line 1: a value is nested too deeply"),
        ('{"a": ' + '{"b":' * 30_000 + "1" + "}" * 30_000 + "}", {}, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", {}, "line 1: Exceeds the limit"),
    ],
)  # fmt: skip
def test_json_that_is_no_rows(tmp_path: Path, text: str, options: Any, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read(tmp_path / "t.json", text, options=options)


def test_rows_within_an_object_are_hinted_at(tmp_path: Path) -> None:
    found = read(tmp_path / "t.json", '{"version": 1, "examples": [{"text": "x"}]}')
    with pytest.raises(DataError, match=r"no column 'text'.* data: \{options: \{field: examples\}\}"):
        found.require(["text"])


# ── text and parquet ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_paragraphs(tmp_path: Path) -> None:
    found = read(tmp_path / "t.txt", "one\ntwo\n\n \nthree\n", options={"sample_by": "paragraph"})
    assert [row["text"] for row in found.rows] == ["one\ntwo", "three"]
    with pytest.raises(DataError, match="sample_by"):
        read(tmp_path / "t.txt", "x", options={"sample_by": "word"})


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    buffer = io.BytesIO()
    PIL.Image.new("RGB", (2, 2), (9, 9, 9)).save(buffer, "PNG")
    values = {
        "text": ["007", None], "price": [Decimal("1.50"), None], "when": [datetime.datetime(2021, 3, 4), None], "raw": [b"\x00", None],
        "kind": pa.array(["x", "y"]).dictionary_encode(), "label": [1, 0],
        "image": [{"bytes": buffer.getvalue(), "path": "a.png"}, {"bytes": b"no image", "path": None}],
    }  # fmt: skip
    features = {"label": {"_type": "ClassLabel", "names": ["no", "yes"]}, "image": {"_type": "Image"}}
    table = pa.table(values).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, tmp_path / "t.parquet")
    found = load(DataSpec(files=str(tmp_path / "t.parquet")))
    first, second = found.rows
    assert found.class_names == {"label": ("no", "yes")}
    assert [first[name] for name in ("text", "price", "when", "kind", "raw", "label")] == [
        "007", Decimal("1.50"), datetime.datetime(2021, 3, 4), "x", b"\x00", 1
    ]  # fmt: skip
    assert (second["text"], second["price"], second["when"]) == (None, None, None)
    assert np.asarray(first["image"].decode()).tolist() == [[[9] * 3] * 2] * 2
    with pytest.raises(SampleError, match="cannot be decoded"):
        second["image"].decode()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        load(DataSpec(files=str(tmp_path / "broken.parquet")))


# ── images ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def picture(path: Path, value: int = 7, mode: str = "L", **save: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new(mode, (4, 2), value).save(path, **save)


def test_an_image_folder_counts_what_is_no_row(tmp_path: Path) -> None:
    root = tmp_path / "im"
    for name in ("cat/b.PNG", "cat/a.jpg", "dog/c.png"):
        picture(root / name, 100)
    (root / "dog/note.txt").write_text("x")
    (root / "dog/.hidden.png").write_text("x")
    (root / ".git").mkdir()
    picture(root / ".git/x.png")
    (root / "empty").mkdir()
    (root / "dog/linked.png").symlink_to(root / "cat/a.jpg")
    (root / "dog/nowhere.png").symlink_to(root / "gone.png")
    (root / "dog/loop").symlink_to(root)
    found = load(DataSpec(files=str(root)))
    assert [(row["image"].name, row["label"]) for row in found.rows] == [
        ("cat/a.jpg", 0), ("cat/b.PNG", 0), ("dog/c.png", 1), ("dog/linked.png", 1), ("dog/nowhere.png", 1)
    ]  # fmt: skip
    assert found.class_names == {"label": ("cat", "dog")}
    assert found.notes == ("files that are not images: 1 files (note.txt)", "folders without an image: 1 (empty)")
    with pytest.raises(SampleError, match=r"dog/nowhere\.png cannot be decoded"):
        found.rows[4]["image"].decode()


def test_one_class_and_images_beside_the_classes(tmp_path: Path) -> None:
    picture(tmp_path / "one/cat/0.png")
    assert load(DataSpec(files=str(tmp_path / "one"))).class_names == {"label": ("cat",)}
    picture(tmp_path / "one/loose.png")
    found = load(DataSpec(files=str(tmp_path / "one")))
    assert [row["label"] for row in found.rows] == [0, None]
    assert found.notes == ("images outside of class folders: 1 files (loose.png)",)
    picture(tmp_path / "flat/0.png")
    assert load(DataSpec(files=str(tmp_path / "flat"))).columns == ("image",)


def test_which_folder_is_the_class_is_never_guessed(tmp_path: Path) -> None:
    for name in ("test/cat/0.png", "train/dog/0.png"):
        picture(tmp_path / "im" / name)
    with pytest.raises(DataError, match=r"'test/cat/0\.png' is 2 folders deep: which of them is the class\?"):
        load(DataSpec(files=str(tmp_path / "im")))
    for which, names in (("first", ("test", "train")), ("last", ("cat", "dog"))):
        assert load(DataSpec(files=str(tmp_path / "im"), options={"class_folder": which})).class_names == {"label": names}
    (tmp_path / "none").mkdir()
    (tmp_path / "none/x.txt").write_text("x")
    with pytest.raises(DataError, match="has no images"):
        load(DataSpec(files=str(tmp_path / "none")))


def test_metadata_of_a_folder(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        picture(tmp_path / "im" / name)
    (tmp_path / "im/metadata.csv").write_text("file_name,label\nb.png,cat\na.png,dog\ngone.png,dog\n")
    found = load(DataSpec(files=str(tmp_path / "im")))
    assert [(row["image"].name, row["label"]) for row in found.rows] == [("b.png", "cat"), ("a.png", "dog"), ("gone.png", "dog")]
    assert found.notes == ("images that metadata.csv does not name: 1 files (c.png)",)
    (tmp_path / "im/metadata.csv").write_text("file_name,label\n../b.png,cat\n")
    with pytest.raises(DataError, match="is not in the folder"):
        load(DataSpec(files=str(tmp_path / "im")))


@pytest.mark.parametrize(("width", "height"), [(14_000, 14_000), (12_000, 12_000), (65_000, 65_000)])
def test_a_bomb_is_not_opened(tmp_path: Path, width: int, height: int) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\x00" * 100)) + chunk(b"IEND", b"")
    with pytest.raises(SampleError, match=r"image x\.png has more than 89,478,485 pixels"):
        EncodedImage("x.png", data=data).decode()


def test_images_are_upright_and_of_the_first_frame(tmp_path: Path) -> None:
    image = PIL.Image.fromarray(np.arange(8, dtype=np.uint8).reshape(2, 4))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    image.save(tmp_path / "x.png", exif=exif)
    assert np.asarray(EncodedImage("x", tmp_path / "x.png").decode()).shape == (4, 2)
    frames = [PIL.Image.new("L", (2, 2), value) for value in (5, 200)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert np.asarray(EncodedImage("x", tmp_path / "x.gif").decode().convert("L")).max() == 5


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\xff\xd8\xff", b"BM" + b"\xff" * 60]
)
def test_what_does_not_decode_is_a_samples_error(content: bytes) -> None:
    with pytest.raises(SampleError, match="image x cannot be decoded"):
        EncodedImage("x", data=content).decode()


# ── tar ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_members_of_a_tar_are_as_written(tmp_path: Path) -> None:
    path = archive(tmp_path / "t.tar", {"a.txt": b"2021-03-04", "a.cls": b"007\n", "a.json": b'{"x": 1.50}', "b.txt": b"NA", "README": b""})
    found = load(DataSpec(files=str(path)))
    assert [dict(row) for row in found.rows] == [
        {"__key__": "a", "txt": "2021-03-04", "cls": "007", "json": {"x": 1.5}},
        {"__key__": "b", "txt": "NA", "cls": None, "json": None},
    ]
    assert found.notes == ("members of the archive that belong to no row: 1 (README)",)
    with pytest.raises(DataError, match="are not adjacent"):
        load(DataSpec(files=str(archive(tmp_path / "u.tar", {"a.txt": b"", "b.txt": b"", "a.cls": b""}))))
    (tmp_path / "v.tar").write_bytes(b"no tar")
    with pytest.raises(DataError, match="cannot be read as a tar archive"):
        load(DataSpec(files=str(tmp_path / "v.tar")))


def test_every_option_is_documented() -> None:
    from windtunnel.harness.data.formats import FORMATS

    page = (Path(__file__).parents[3] / "docs/tasks.md").read_text()
    for name, kind in FORMATS.items():
        assert f"`{name}`" in page or f"`.{name}`" in page
        for option in kind.__dataclass_fields__:
            assert f"`{option}`" in page, option
