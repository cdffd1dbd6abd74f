"""Scores that are probabilities are not softmaxed again: of Python functions and of torch modules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from windtunnel.harness.api.errors import ConfigError, ModelError
from windtunnel.harness.models.common.outputs import Outputs

LOGITS = np.array([[0.3, -1.2, 2.0], [4.0, 0.1, 0.2]])


def softmax(rows: np.ndarray) -> np.ndarray:
    weights = np.exp(rows - rows.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


PROBABILITIES = softmax(LOGITS)


@given(st.lists(st.lists(st.floats(-30, 30), min_size=3, max_size=3), min_size=1, max_size=5))
def test_a_softmax_is_not_taken_twice(rows: list[list[float]]) -> None:
    wanted = softmax(np.array(rows))
    # Where the first rows are all 0 and 1 nobody can tell, and the class is the same.
    if not np.isin(wanted, (0, 1)).all():
        assert np.allclose(softmax(Outputs("m", "auto", False).of_rows(wanted, 3)), wanted, atol=1e-9)
    assert np.allclose(softmax(Outputs("m", "probabilities", False).of_rows(wanted, 3)), wanted, atol=1e-9)
    found = Outputs("m", "probabilities", False).of_tensor(torch.tensor(wanted), 3).numpy()
    assert np.allclose(softmax(found), wanted, atol=1e-9)


@pytest.mark.parametrize("kind", ["auto", "logits"])
def test_logits_stay_as_they_are(kind: str) -> None:
    scores = Outputs("m", kind, False)
    assert scores.of_rows(LOGITS, 3) is LOGITS
    given_BK = torch.tensor(LOGITS)
    assert scores.of_tensor(given_BK, 3) is given_BK
    assert not scores.notes
    # What was decided holds: rows that sum to 1 by chance are logits, too.
    assert scores.of_rows(PROBABILITIES, 3) is PROBABILITIES


def test_what_was_found_is_said_and_held_to() -> None:
    scores = Outputs("m", "auto", False)
    scores.of_rows(PROBABILITIES, 3)
    assert "probabilities" in scores.notes[0]
    with pytest.raises(ModelError, match="returned probabilities at first"):
        scores.of_rows(LOGITS, 3)
    assert not Outputs("m", "probabilities", False).notes


def test_votes_alone_tell_nothing() -> None:
    votes = np.array([[0.0, 1.0], [1.0, 0.0]])
    scores = Outputs("m", "auto", False)
    assert scores.of_rows(votes, 2) is votes
    assert scores.of_rows(np.array([[3.0, 1.0]]), 2).tolist() == [[3.0, 1.0]]
    undecided = Outputs("m", "auto", False)
    undecided.of_rows(votes, 2)
    with pytest.raises(ModelError, match=r"returned 0 and 1 at first.*now \[0.25, 0.75\]"):
        undecided.of_rows(np.array([[0.0, 1.0], [0.25, 0.75]]), 2)


@pytest.mark.parametrize("as_tensor", [False, True])
def test_one_score_of_two_classes_is_the_seconds(as_tensor: bool) -> None:
    log_odds = np.array([[-2.0], [0.5]])
    wanted = 1 / (1 + np.exp(-log_odds[:, 0]))

    def read(kind: str, rows: np.ndarray) -> np.ndarray:
        scores = Outputs("m", kind, False)
        return scores.of_tensor(torch.tensor(rows), 2).numpy() if as_tensor else scores.of_rows(rows, 2)

    assert np.allclose(softmax(read("logits", log_odds))[:, 1], wanted)
    assert np.allclose(softmax(read("probabilities", wanted[:, None]))[:, 1], wanted)
    with pytest.raises(ModelError, match="one score for two classes"):
        read("auto", log_odds)
    with pytest.raises(ModelError, match="are not between 0 and 1"):
        read("probabilities", log_odds)


@pytest.mark.parametrize("as_tensor", [False, True])
def test_labels_on_their_own_have_a_sigmoid_each(as_tensor: bool) -> None:
    probabilities = np.array([[0.9, 0.8, 0.1]])
    scores = Outputs("m", "probabilities", True)
    found = scores.of_tensor(torch.tensor(probabilities), 3).numpy() if as_tensor else scores.of_rows(probabilities, 3)
    assert np.allclose(1 / (1 + np.exp(-found)), probabilities)


def test_gradients_of_probabilities_are_those_of_their_logits() -> None:
    logits = torch.tensor(LOGITS, requires_grad=True)
    (wanted,) = torch.autograd.grad(logits.log_softmax(1)[:, 0].sum(), logits)
    scores = Outputs("m", "auto", False).of_tensor(logits.softmax(1), 3)
    (found,) = torch.autograd.grad(scores.log_softmax(1)[:, 0].sum(), logits)
    assert torch.allclose(found, wanted)


def test_half_precision_is_told_by_its_rounding() -> None:
    rows = torch.tensor(PROBABILITIES).to(torch.bfloat16)
    scores = Outputs("m", "auto", False)
    assert torch.allclose(scores.of_tensor(rows, 3).double().softmax(1), torch.tensor(PROBABILITIES), atol=1e-2)
    assert scores.notes


def test_nan_is_left_to_be_seen() -> None:
    rows = np.array([[np.nan, 0.5], [0.25, 0.75]])
    found = Outputs("m", "auto", False).of_rows(rows, 2)
    assert np.isnan(found[0, 0])
    assert np.allclose(softmax(found[1:]), rows[1:])


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="outputs must be auto, logits or probabilities"):
        Outputs("m", "scores", False)
    with pytest.raises(ConfigError, match="multi_label scores"):
        Outputs("m", "auto", True)
