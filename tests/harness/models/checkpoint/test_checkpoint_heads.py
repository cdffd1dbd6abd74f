"""What a classifier's outputs are: by its config, by the settings, and what becomes of them in judges, tasks, gradients and plans."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from windtunnel.harness.api.errors import ConfigError, ModelError, UserError
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.judges import classifier
from windtunnel.harness.judges.verdicts import Exchange
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.checkpoint.head import read_head
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny

MULTI, SINGLE = "multi_label_classification", "single_label_classification"
TEXTS = ["the cat sat on a table", "bad films that were great", "a young dog in paris", "awful"]


def configured(folder: Path, name: str = "bert", num_labels: int = 3, **config: Any) -> Path:
    """A tiny checkpoint whose config says this of its head."""
    tiny.save(name, folder)
    module = {"bert": transformers.AutoModelForSequenceClassification, "vit": transformers.AutoModelForImageClassification}[name]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module.from_pretrained(folder, num_labels=num_labels, ignore_mismatched_sizes=True).save_pretrained(folder)
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**said, **config}))
    return folder


def outputs(folder: Path, texts: list[str]) -> torch.Tensor:
    """The module's own outputs, one text at a time."""
    module = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return torch.cat([module(**tokenizer(text, return_tensors="pt")).logits for text in texts])


def config(names: list[str], **said: Any) -> Any:
    facts = {"id2label": dict(enumerate(names)), "num_labels": len(names), "problem_type": None, **said}
    return SimpleNamespace(**facts)


def test_a_head_of_several_labels_has_a_sigmoid_each(tmp_path: Path) -> None:
    names = {"0": "toxic", "1": "obscene", "2": "threat"}
    folder = configured(tmp_path, problem_type=MULTI, id2label=names)
    source = HuggingFace(str(folder))
    assert source.inspect().is_multi_label
    assert any("do not exclude each other" in note for note in source.inspect().notes)
    engine = tiny.engine(source.load("cpu", "float32"))
    found = engine.run([Classify(text, ("threat", "toxic", "obscene")) for text in TEXTS])
    wanted = outputs(folder, TEXTS).sigmoid()[:, [2, 0, 1]].double().numpy()
    np.testing.assert_allclose([[logits.probability(i) for i in range(3)] for logits in found], wanted, atol=1e-5)
    assert [[logits.holds(i) for i in range(3)] for logits in found] == (wanted >= 0.5).tolist()


@pytest.mark.parametrize("problem_type", [None, MULTI])
@pytest.mark.parametrize(("names", "asked"), [(None, ("no", "yes")), ({"0": "yes"}, ("yes", "no")), ({"0": "Yes"}, ("clean", "yes"))])
def test_one_logit_is_the_log_odds_of_the_second_class(
    names: dict[str, str] | None, asked: tuple[str, str], problem_type: str | None, tmp_path: Path
) -> None:
    folder = configured(tmp_path, num_labels=1, problem_type=problem_type, **({"id2label": names} if names else {}))
    engine = tiny.engine(HuggingFace(str(folder)).load("cpu", "float32"))
    found = engine.run([Classify(text, asked) for text in TEXTS])
    wanted = outputs(folder, TEXTS).sigmoid()[:, 0].double().numpy()
    np.testing.assert_allclose([logits.probability(asked.index("yes")) for logits in found], wanted, atol=1e-5)
    np.testing.assert_allclose([logits.probability(asked.index("yes") - 1) for logits in found], 1 - wanted, atol=1e-5)


def test_one_label_of_several_is_a_model_of_two_classes_with_gradients(tmp_path: Path) -> None:
    folder = configured(tmp_path, problem_type=MULTI, id2label={"0": "toxic", "1": "obscene", "2": "threat"})
    source = HuggingFace(str(folder), positive_label="obscene", labels=["fine", "rude"])
    assert source.inspect().labels == ("fine", "rude")
    assert not source.inspect().is_multi_label
    engine = tiny.engine(source.load("cpu", "float32"))
    raw = outputs(folder, TEXTS)[:, 1]
    found = engine.run([Classify(text, ("rude", "fine")) for text in TEXTS])
    np.testing.assert_allclose([logits.probability(0) for logits in found], raw.sigmoid(), atol=1e-5)
    with engine.differentiable() as net:
        encoded = net.encode([Classify(text, ("rude", "fine")) for text in TEXTS])
        features = encoded.features.detach().requires_grad_(True)
        logits = net.logits(features, encoded)
        np.testing.assert_allclose(logits[:, 0].detach(), raw, atol=1e-5)
        assert not logits[:, 1].any()
        (gradient,) = torch.autograd.grad(logits[:, 0].sum(), features)
        assert gradient.abs().max() > 0


def test_an_image_head_is_read_in_the_same_way(tmp_path: Path) -> None:
    folder = configured(tmp_path / "several", "vit", problem_type=MULTI, id2label={"0": "cat", "1": "dog", "2": "indoors"})
    image = Image(np.full((32, 32, 3), 90, np.uint8))
    several = tiny.engine(HuggingFace(str(folder)).load("cpu", "float32")).run([Classify(image, ("dog", "cat", "indoors"))])[0]
    one = tiny.engine(HuggingFace(str(folder), positive_label="dog").load("cpu", "float32")).run([Classify(image, ("not dog", "dog"))])[0]
    assert several.is_multi_label
    assert one.probability(1) == pytest.approx(several.probability(0))
    assert one.values == (0.0, pytest.approx(several.values[0]))
    single = configured(tmp_path / "one", "vit", num_labels=1)
    assert tiny.engine(HuggingFace(str(single)).load("cpu", "float32")).run([Classify(image, ("no", "yes"))])[0].values[0] == 0


@pytest.mark.parametrize(
    ("said", "match"),
    [
        (config(["score"], problem_type="regression"), "problem_type: regression"),
        (config(["a", "b"], problem_type="regression"), "quantities"),
        (config(["LABEL_0"], finetuning_task="sts-b"), "finetuning_task"),
        (config(["LABEL_0"], sbert_ce_default_activation_function="torch.nn.modules.linear.Identity"), "Identity"),
        (config(["LABEL_0"], sentence_transformers={"activation_fn": "torch.nn.modules.linear.Identity"}), "Identity"),
        (SimpleNamespace(id2label={1: "a", 2: "b"}, num_labels=2, problem_type=None), "numbers its classes 1, 2"),
    ],
)
def test_what_gives_no_classes_is_refused_with_the_way_out(said: Any, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        read_head(said, "m")


def test_a_setting_wins_over_the_config() -> None:
    assert read_head(config(["score"], problem_type="regression"), "m", problem_type=SINGLE).column == 0
    assert not read_head(config(["a", "b"], problem_type=MULTI), "m", problem_type=SINGLE).is_multi_label
    assert read_head(config(["a", "b"]), "m", problem_type=MULTI).is_multi_label


@pytest.mark.parametrize(
    ("names", "settings", "kind", "match"),
    [
        (["a", "b"], {"problem_type": "multi"}, ConfigError, "problem_type must be"),
        (["a", "b"], {"positive_label": "a"}, ConfigError, "do not exclude"),
        (["a", "b", "c"], {"problem_type": MULTI, "positive_label": "d"}, ConfigError, "no label 'd'"),
        (["a", "b", "c"], {"problem_type": MULTI, "positive_label": "a", "labels": ["x"]}, ModelError, "two classes"),
        (["a", "b", "c"], {"problem_type": MULTI, "labels": ["x"]}, ModelError, "3 outputs"),
        (["a", "b"], {"labels": ["x"]}, ModelError, "2 outputs"),
        (["a"], {"labels": ["x"]}, ModelError, "one output"),
        (["yes"], {"labels": ["yes", "no"]}, ModelError, "log-odds of 'yes'"),
        (["yes"], {"positive_label": "no"}, ConfigError, "'yes'"),
    ],
)
def test_settings_that_do_not_fit(names: list[str], settings: dict[str, Any], kind: type[UserError], match: str) -> None:
    with pytest.raises(kind, match=match):
        read_head(config(names), "m", **settings)


def test_classes_without_names_are_said_to_be_taken_by_position() -> None:
    unnamed = config(["LABEL_0", "LABEL_1"])
    assert "default names" in read_head(unnamed, "m").notes[0]
    assert "default names" in read_head(config(["LABEL_0"]), "m").notes[1]
    assert not read_head(unnamed, "m", labels=["a", "b"]).notes
    assert not read_head(config(["a", "b"]), "m").notes


@pytest.mark.parametrize("values", [(3.0, -3.0), (-4.0, -1.0), (0.0, 5.0)])
def test_a_judge_asks_a_label_on_its_own_where_labels_are_so(values: tuple[float, float]) -> None:
    class Judge:
        info = SimpleNamespace(labels=("toxic", "rude"))

        def __init__(self, is_multi_label: bool) -> None:
            self.is_multi_label = is_multi_label

        def try_run(self, requests: Any) -> list[Logits]:
            return [Logits(values, is_multi_label=self.is_multi_label) for _ in requests]

    (alone,) = classifier.judge_answers("toxic", Judge(True), [Exchange("p", "a")])  # type: ignore[arg-type]
    (among,) = classifier.judge_answers("toxic", Judge(False), [Exchange("p", "a")])  # type: ignore[arg-type]
    assert alone.value == float(1 / (1 + math.exp(-values[0])) >= 0.5)
    assert among.value == float(values[0] > values[1] or values[0] == max(values))
