"""Pipelines of scikit-learn answer as they do by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC, LinearSVC
from windtunnel.harness.api.errors import ConfigError, ModelError
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.sklearn.source import Sklearn
from windtunnel.tests import tiny

skops = pytest.importorskip("skops.io")
joblib = pytest.importorskip("joblib")

TEXTS = ["a good film", "a bad film", "good, great and fine", "awful and bad"]
MOODS = ["positive", "negative", "positive", "negative"]


def saved(folder: Path, last: Any, name: str = "model.skops") -> tuple[Any, str]:
    pipeline = make_pipeline(TfidfVectorizer(), last).fit(TEXTS, MOODS)
    (skops if name.endswith("skops") else joblib).dump(pipeline, folder / name)
    return pipeline, str(folder / name)


def test_probabilities_are_those_of_the_pipeline(tmp_path: Path) -> None:
    pipeline, path = saved(tmp_path, LogisticRegression())
    source = Sklearn(path)
    info = source.inspect()
    assert (info.answers, info.labels) == ({"classify": {"text"}}, ("negative", "positive"))
    assert "need none" in info.describe_lack(frozenset({"gradients"}))
    found = tiny.engine(source.load("cpu", "auto")).run([Classify(text, ("positive", "negative")) for text in TEXTS])
    np.testing.assert_allclose([one.probability(0) for one in found], pipeline.predict_proba(TEXTS)[:, 1], atol=1e-9)


def test_without_probabilities_the_decisions_count(tmp_path: Path) -> None:
    pipeline, path = saved(tmp_path, LinearSVC())
    found = tiny.engine(Sklearn(path).load("cpu", "auto")).run([Classify(text) for text in TEXTS])
    np.testing.assert_allclose([one.values[1] - one.values[0] for one in found], pipeline.decision_function(TEXTS), atol=1e-9)


def test_images_are_rows_of_pixels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 4, 4, 1), dtype=np.uint8)
    classifier = LogisticRegression().fit(pixels.reshape(20, -1) / 255, np.arange(20) % 2)
    skops.dump(classifier, tmp_path / "model.skops")
    source = Sklearn(str(tmp_path / "model.skops"), input="image", labels=["even", "odd"])
    assert source.inspect().labels == ("even", "odd")
    found = tiny.engine(source.load("cpu", "auto")).run([Classify(Image(one)) for one in pixels])
    np.testing.assert_allclose(
        [one.probability(1) for one in found], classifier.predict_proba(pixels.reshape(20, -1) / 255)[:, 1], atol=1e-9
    )


def test_a_pickle_is_read_only_if_it_is_trusted_and_that_is_noted(tmp_path: Path) -> None:
    _, path = saved(tmp_path, LogisticRegression(), "model.joblib")
    with pytest.raises(ModelError, match=r"can run any code.*trust_pickle: true"):
        Sklearn(path).inspect()
    source = Sklearn(path, trust_pickle=True)
    assert "is a pickle, whose code was run" in source.inspect().notes[0]
    assert len(tiny.engine(source.load("cpu", "auto")).run([Classify("good")])) == 1


def run(source: Sklearn, texts: list[str]) -> tuple[list[Any], tuple[str, ...]]:
    model = source.load("cpu", "auto")
    return tiny.engine(model).run([Classify(text) for text in texts]), model.notes


def test_predictions_that_are_not_those_of_the_scores_are_noted(tmp_path: Path) -> None:
    pipeline, path = saved(tmp_path, FixedThresholdClassifier(LogisticRegression(), threshold=0.9, pos_label="positive"))
    found, notes = run(Sklearn(path), TEXTS)
    assert [one.probability(1) > 0.5 for one in found] == [mood == "positive" for mood in MOODS]
    assert list(pipeline.predict(TEXTS)) == ["negative"] * 4
    assert any("its predict() gives another class than its scores for 2 of the first 4 inputs" in note for note in notes)
    _, path = saved(tmp_path, LinearSVC())
    assert not any("predict()" in note for note in run(Sklearn(path), TEXTS)[1])


def test_classifiers_of_several_labels_are_refused(tmp_path: Path) -> None:
    labels = np.array([[0, 1], [1, 1], [1, 0], [0, 0]])
    many = make_pipeline(TfidfVectorizer(), OneVsRestClassifier(LogisticRegression())).fit(TEXTS, labels)
    skops.dump(many, tmp_path / "many.skops")
    with pytest.raises(ModelError, match=r"not those of 2 classes of which one holds.*multi_label: true"):
        run(Sklearn(str(tmp_path / "many.skops")), TEXTS[:1])
    pairs = make_pipeline(TfidfVectorizer(), KNeighborsClassifier(1)).fit(TEXTS, labels)
    skops.dump(pairs, tmp_path / "pairs.skops")
    trusted = skops.get_untrusted_types(file=tmp_path / "pairs.skops")
    with pytest.raises(ModelError, match="has several outputs per input"):
        Sklearn(str(tmp_path / "pairs.skops"), trusted=trusted).inspect()


def test_a_score_for_each_pair_of_classes_is_refused(tmp_path: Path) -> None:
    texts, moods = [*TEXTS, "the cat", "a table", "old", "new"], ["a", "b", "c", "d"] * 2
    pairs = make_pipeline(TfidfVectorizer(), SVC(decision_function_shape="ovo")).fit(texts, moods)
    skops.dump(pairs, tmp_path / "pairs.skops")
    with pytest.raises(ModelError, match=r"gives scores \[1, 6\] that are not those of 4 classes"):
        run(Sklearn(str(tmp_path / "pairs.skops"), trusted=["scipy.sparse._csr.csr_matrix"]), texts[:1])


def test_unknown_types_are_named(tmp_path: Path) -> None:
    pipeline = make_pipeline(FunctionTransformer(saved, validate=False), LogisticRegression())
    pipeline[1].fit([[0.0], [1.0]], ["a", "b"])
    skops.dump(pipeline, tmp_path / "model.skops")
    with pytest.raises(ModelError, match=r"holds types that skops does not know: .*saved.*trusted: \["):
        Sklearn(str(tmp_path / "model.skops")).inspect()


def test_wrong_files_and_settings_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="input must be text or image"):
        Sklearn("x", input="audio")
    with pytest.raises(ModelError, match=r"there is no file.*skops\.io\.dump"):
        Sklearn(str(tmp_path / "none.skops")).inspect()
    (tmp_path / "broken.skops").write_bytes(b"no archive")
    with pytest.raises(ModelError, match="cannot be read"):
        Sklearn(str(tmp_path / "broken.skops")).inspect()
    skops.dump(LinearRegression().fit([[0.0], [1.0]], [0, 1]), tmp_path / "numbers.skops")
    with pytest.raises(ModelError, match="holds a LinearRegression, which is no fitted classifier"):
        Sklearn(str(tmp_path / "numbers.skops")).inspect()
    _, path = saved(tmp_path, LogisticRegression())
    with pytest.raises(ModelError, match="has 2 classes"):
        Sklearn(path, labels=["a", "b", "c"]).inspect()
    before = Sklearn(path).load("cpu", "auto").fingerprint
    saved(tmp_path, LogisticRegression(C=9))
    assert Sklearn(path).load("cpu", "auto").fingerprint != before
    monkeypatch.setattr("windtunnel.harness.models.common.extras.is_installed", lambda module: False)
    with pytest.raises(ModelError, match=r"needs the package 'skops'.*windtunnel\[sklearn\]"):
        Sklearn(path).inspect()
