"""TextAttack finds what it imports of flair, whether flair is installed or not."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest
from windtunnel.attacks.text import flair_stand_in
from windtunnel.harness.api.errors import CapabilityError


@pytest.fixture
def no_flair(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "flair"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(flair_stand_in, "find_spec", lambda name: None)


@pytest.mark.usefixtures("no_flair")
def test_without_flair_its_names_are_there_while_textattack_is_imported() -> None:
    with flair_stand_in.stand_in_for_flair():
        flair, data, models = map(import_module, ("flair", "flair.data", "flair.models"))
        assert (flair.data, flair.models) == (data, models)
        assert issubclass(type("Derived", (data.Tokenizer,), {}), data.Tokenizer)
        for call in (lambda: data.Sentence("a word", use_tokenizer=data.Tokenizer()), lambda: models.SequenceTagger.load("upos-fast")):
            with pytest.raises(CapabilityError, match="flair here, which is not installed: give the constraint tagger_type='nltk'"):
                call()
    assert not {"flair", "flair.data", "flair.models"} & sys.modules.keys()


@pytest.mark.usefixtures("no_flair")
def test_flair_itself_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flair_stand_in, "find_spec", lambda name: SimpleNamespace(name=name))
    with flair_stand_in.stand_in_for_flair():
        assert "flair" not in sys.modules  # nothing stands in its way


@pytest.mark.usefixtures("textattack")
def test_textattack_imports_without_flair() -> None:
    code = """
import sys
from windtunnel.attacks.text import flair_stand_in, textattack_import
flair_stand_in.find_spec = lambda name: None
textattack = textattack_import.import_textattack(())
from textattack.constraints.grammaticality import part_of_speech
print(part_of_speech.SequenceTagger is flair_stand_in.SequenceTagger, "flair" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True False\n"
