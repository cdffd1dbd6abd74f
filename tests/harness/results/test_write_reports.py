"""A report's files: moved into the run folder when all are there, over its own and no others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from windtunnel import ConfigError, Report, RunFrames, Scorecard, make_file_name
from windtunnel.harness.api.errors import StoreError
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.results.write_reports import export_report, write_reports
from windtunnel.harness.store import Store

CARD = Scorecard({}, ())
HOSTILE = ("../../evil", "/etc/passwd", "a/b", "a\\b", "..", ".", "", "\x00", "\ud800", "a" * 300, "<b>", ".hidden", "a b", "CON ", "é")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A run folder without records."""
    place = tmp_path / "run"
    place.mkdir()
    Store.create(
        place / "run.db", name="r", suite='{"reports": [{"report": "mine", "settings": {}}], "plugin_files": []}', version="0"
    ).close()
    (place / "suite.yaml").write_text("mine: true\n")
    yield place
    assert not list(place.glob(".report-*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def written(folder: Path, *reports: Report, names: str = "mine") -> list[str]:
    """The paths that are written in the run folder, by the reports ``mine``, ``mine2``, ..."""
    registry = Registry()
    for number, report in enumerate(reports, 1):
        registry.add("reports", "mine" if number == 1 else f"mine{number}", lambda report=report: report, "tests")
    paths = write_reports(folder, CARD, {name: {} for name in names.split()}, registry)
    return [path.relative_to(folder).as_posix() for path in paths]


class Text(Report):
    def __init__(self, suffix: str = "mine.txt", text: str = "one") -> None:
        self.suffix, self.text = suffix, text

    def render(self, scorecard: Scorecard) -> str:
        return self.text


class Files(Report):
    """Writes what it is given."""

    def __init__(self, work: Callable[[Path], Any]) -> None:
        self.work = work

    def write(self, scorecard: Scorecard, run: RunFrames, folder: Path) -> None:
        assert not list(folder.iterdir())
        self.work(folder)


def several(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_a_text_is_one_file_and_is_written_anew(folder: Path) -> None:
    assert written(folder, Text()) == ["mine.txt"]
    assert written(folder, Text(text="two \ud800")) == ["mine.txt"]
    assert (folder / "mine.txt").read_text() == "two \\ud800"


def test_a_report_may_write_several_files(folder: Path) -> None:
    report = Files(lambda place: several(place, "b.txt", "samples/a.txt"))
    assert written(folder, report) == ["b.txt", "samples/a.txt"]
    assert written(folder, report) == ["b.txt", "samples/a.txt"]
    assert (folder / "samples" / "a.txt").read_text() == "samples/a.txt"


def test_a_report_may_ask_the_run_for_frames(folder: Path) -> None:
    class Frames(Report):
        def write(self, scorecard: Scorecard, run: RunFrames, folder: Path) -> None:
            run.samples().to_csv(folder / "samples.csv")
            (folder / "place.txt").write_text(str(run.path))

    assert written(folder, Frames()) == ["place.txt", "samples.csv"]
    assert (folder / "place.txt").read_text() == str(folder)
    assert (folder / "samples.csv").read_text().startswith(",model,item,kind,task,sample_id")


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "a/b.txt", "..", "", "a\x00b", "a b.txt"])
def test_a_suffix_is_a_name_of_a_file(folder: Path, name: str) -> None:
    with pytest.raises(
        ConfigError, match=r"the report 'mine' cannot be written: the suffix of a report must be a file name such as summary\.md"
    ):
        written(folder, Text(name))


@pytest.mark.parametrize("name", ["notes.md", "summary.md", "samples/a.txt"])
def test_a_file_of_the_user_is_left_alone(folder: Path, name: str) -> None:
    several(folder, name)
    (folder / name).write_text("mine")
    with pytest.raises(ConfigError, match=rf"{name} exists and was not written by this report; move it away; the records are safe"):
        written(folder, Files(lambda place: several(place, "a.txt", name)))
    assert (folder / name).read_text() == "mine"
    assert not (folder / "a.txt").exists()
    (folder / name).unlink()
    assert name in written(folder, Files(lambda place: several(place, name)))


def test_a_link_of_the_user_is_left_alone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (folder / "samples").symlink_to(outside)
    (folder / "dangling.txt").symlink_to(outside / "not-there.txt")
    with pytest.raises(ConfigError, match="samples leads out of the run folder; move it away"):
        written(folder, Files(lambda place: several(place, "samples/a.txt")))
    with pytest.raises(ConfigError, match="exists and was not written by this report"):
        written(folder, Files(lambda place: several(place, "dangling.txt")))
    assert not list(outside.iterdir())


@pytest.mark.parametrize("name", ["run.db", "RUN.DB", "run.db-wal", "run.lock", "suite.yaml", ".reports"])
def test_the_runs_own_files_are_nobodys(folder: Path, name: str) -> None:
    before = (folder / "run.db").read_bytes()
    with pytest.raises(ConfigError, match="is reserved for the run's own files; rename the report's file"):
        written(folder, Files(lambda place: several(place, name)))
    assert (folder / "run.db").read_bytes() == before


def test_two_reports_do_not_write_one_file(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"the report 'mine2' cannot be written: mine\.txt is a file of the report 'mine'"):
        written(folder, Text(), Text(text="two"), names="mine mine2")
    assert (folder / "mine.txt").read_text() == "one"


def test_a_report_that_links_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"link\.txt is not a regular file"):
        written(folder, Files(lambda place: (place / "link.txt").symlink_to("/etc/hostname")))


def test_a_report_that_writes_nothing_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match="the report 'mine' cannot be written: it has written no file"):
        written(folder, Files(lambda place: None))


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (ZeroDivisionError("1 / 0"), ConfigError, r"cannot be made \(ZeroDivisionError: 1 / 0\)"),
        (SystemExit(0), ConfigError, r"cannot be made \(SystemExit: 0\)"),
        (OSError(28, "No space left on device"), StoreError, r"cannot be written to .* \(No space left on device\)"),
    ],
)
def test_a_report_that_fails_leaves_what_was_there(folder: Path, error: BaseException, kind: type[Exception], told: str) -> None:
    written(folder, Files(lambda place: several(place, "a.txt", "b.txt")))

    def half(place: Path) -> None:
        (place / "a.txt").write_text("another")
        raise error

    with pytest.raises(kind, match=f"the report 'mine' {told}; the records are safe"):
        written(folder, Files(half))
    assert (folder / "a.txt").read_text() == "a.txt"


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_makes_a_name(folder: Path, text: str) -> None:
    name = make_file_name(text)
    assert Path(name).name == name
    assert 0 < len(name) <= 80
    assert not name.startswith(".")
    assert make_file_name(name) == name
    assert written(folder, Files(lambda place: several(place, name))) == [name]


def test_different_texts_make_different_names() -> None:
    assert len({make_file_name(text) for text in (*HOSTILE, "a_b", "_", "evil", "etc_passwd")}) == len(HOSTILE) + 4
    assert make_file_name("sst2-17.html") == "sst2-17.html"


def test_a_report_has_the_settings_that_it_is_given_or_those_of_the_suite(folder: Path) -> None:
    registry = Registry()
    registry.add("reports", "mine", lambda text="one": Text(text=text), "tests")
    (folder / "run.db").unlink()
    suite = '{"reports": [{"report": "mine", "settings": {"text": "suite"}}], "plugin_files": []}'
    Store.create(folder / "run.db", name="r", suite=suite, version="0").close()
    for reports, text in ((None, "suite"), ({"mine": {}}, "suite"), ({"mine": {"text": "given"}}, "given")):
        write_reports(folder, CARD, reports, registry)
        assert (folder / "mine.txt").read_text() == text
    with pytest.raises(ConfigError, match="no setting 'words'"):
        write_reports(folder, CARD, {"mine": {"words": 5}}, registry)


def exported(folder: Path, report: Report, out: Path) -> list[str]:
    """The paths, relative to the folder above the run's, that an export writes."""
    registry = Registry()
    registry.add("reports", "mine", lambda: report, "tests")
    return [path.relative_to(folder.parent).as_posix() for path in export_report(folder, CARD, "mine", {}, out, registry)]


def test_an_export_is_a_file_or_a_folder_elsewhere(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    try:
        assert exported(folder, Text(), out / "a.txt") == ["out/a.txt"]
        assert exported(folder, Text(text="two"), out / "a.txt") == ["out/a.txt"]
        assert (out / "a.txt").read_text() == "two"
        assert exported(folder, Text(), out) == ["out/mine.txt"]
        both = Files(lambda place: several(place, "b.txt", "c/d.txt"))
        assert exported(folder, both, out / "both") == ["out/both/b.txt", "out/both/c/d.txt"]
        with pytest.raises(ConfigError, match="name a folder, not the file"):
            exported(folder, both, out / "a.txt")
        with pytest.raises(ConfigError, match="lies in the run folder"):
            exported(folder, Text(), folder / "mine.txt")
    finally:
        shutil.rmtree(out)
