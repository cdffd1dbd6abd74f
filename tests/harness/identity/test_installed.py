"""A library is one wherever pip put it; a project of the user is local code, even beside libraries."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from windtunnel.harness.identity.code import collect_code, is_library
from windtunnel.harness.identity.libraries import find_version


def _install(folder: Path, record: str | None = "far_lib/__init__.py,,\nfar_lib/inner.py,,\nfar_one.py,,\n../../bin/far,,\n") -> Path:
    """A folder as ``pip install --target`` leaves it, with a distribution whose name is none of its modules, and a file of the user."""
    (folder / "far_lib").mkdir(parents=True)
    (folder / "far_lib" / "__init__.py").write_text("from .inner import VALUE\n")
    (folder / "far_lib" / "inner.py").write_text("VALUE = 1\n")
    (folder / "far_one.py").write_text("")
    (folder / "own.py").write_text("import far_lib, far_one\n")
    info = folder / "far_dist-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: far-dist\nVersion: 2.5\n")
    if record is not None:
        (info / "RECORD").write_text(record)
    return folder


def test_a_library_in_a_target_folder_counts_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _install(tmp_path / "libs")
    monkeypatch.syspath_prepend(str(folder))
    assert is_library(folder / "far_lib" / "inner.py")
    assert is_library(folder / "far_one.py")
    assert not is_library(folder / "own.py"), "pip installed it not"
    code = collect_code(folder / "own.py")
    assert (list(code.files), code.libraries) == (["own.py"], ("far_lib", "far_one"))
    assert [find_version(name) for name in ("far_lib", "far_one", "far-dist", "own")] == ["2.5", "2.5", "2.5", ""]


@pytest.mark.parametrize("names", ["far_lib\nfar_one\n", None])
def test_metadata_without_a_list_of_files_names_the_modules(tmp_path: Path, names: str | None) -> None:
    folder = _install(tmp_path / "libs", record=None)
    if names is not None:
        (folder / "far_dist-2.5.dist-info" / "top_level.txt").write_text(names)
    assert is_library(folder / "far_lib" / "inner.py") == (names is not None)
    assert not is_library(folder / "own.py")


def test_a_zipped_library_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "zipped.whl"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zip_lib/__init__.py", "")
        file.writestr("zip_lib-1.5.dist-info/METADATA", "Metadata-Version: 2.1\nName: zip-lib\nVersion: 1.5\n")
    monkeypatch.syspath_prepend(str(archive))
    (tmp_path / "mine.py").write_text("import zip_lib\n")
    code = collect_code(tmp_path / "mine.py")
    assert (list(code.files), code.libraries) == (["mine.py"], ("zip_lib",))
    assert find_version("zip_lib") == "1.5"


@pytest.mark.parametrize("layout", ["src", "flat"])
def test_an_editable_project_is_local_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    """Its metadata stand elsewhere and list no file of the project, or are an ``egg-info`` beside it."""
    project = tmp_path / "project" / ("src" if layout == "src" else "")
    (project / "my_project").mkdir(parents=True)
    (project / "my_project" / "__init__.py").write_text("")
    (project / "my_project.egg-info").mkdir()
    (project / "my_project.egg-info" / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: my-project\nVersion: 1.0\n")
    info = tmp_path / "libs" / "my_project-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-project\nVersion: 1.0\n")
    (info / "RECORD").write_text("__editable__.my_project-1.0.pth,,\n")
    for place in (project, tmp_path / "libs"):
        monkeypatch.syspath_prepend(str(place))
    assert not is_library(project / "my_project" / "__init__.py")
    (tmp_path / "mine.py").write_text("import my_project\n")
    assert list(collect_code(tmp_path / "mine.py").files) == ["mine.py", "my_project"]
    assert "my_project" not in sys.modules
