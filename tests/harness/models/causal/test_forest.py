"""Packs of a trie: every different token once, each seeing exactly what stands before it in its own sequence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from windtunnel.harness.models.causal.prefix_trie import Pack, Scored, count_common, make_packs

sequences = st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=12), min_size=1, max_size=9)


def scored(lines: list[list[int]]) -> list[Scored]:
    return [Scored(line, 1 + len(line) % (len(line) - 1 or 1) if len(line) > 2 else 1) for line in lines]


def read_back(packs: list[Pack]) -> list[list[tuple[int, ...]]]:
    """What each token of each pack sees, as the ids that it can reach, from the masks and the paths alone."""
    path: list[tuple[int, int]] = []
    seen = []
    for pack in packs:
        assert pack.path_length == len(path)
        keys = [*path, *zip(pack.positions_T.tolist(), pack.ids_T.tolist(), strict=True)]
        mask = pack.mask()
        reached = []
        for row in mask:
            found = sorted(keys[k] for k in np.flatnonzero(row))
            assert [position for position, _ in found] == list(range(len(found))), "one token at each depth"
            reached.append(tuple(token for _, token in found))
        seen.append(reached)
        path = [keys[k] for k in pack.next_path]
    return seen


@given(sequences, st.integers(1, 30))
def test_a_token_sees_what_stands_before_it_and_nothing_else(lines: list[list[int]], tokens: int) -> None:
    units = scored(lines)
    packs = list(make_packs(units, tokens))
    seen = read_back(packs)
    prefixes = {tuple(line[:n]) for line in lines for n in range(1, len(line))}
    flat = [prefix for reached in seen for prefix in reached]
    assert sorted(flat) == sorted(prefixes), "each different beginning is computed once"
    assert all(len(pack.ids_T) <= tokens for pack in packs)
    asked = sorted((i, tuple(u.ids[:at]), u.ids[at]) for i, u in enumerate(units) for at in range(len(u.ids) - u.num_scored, len(u.ids)))
    found = [
        (owner, reached[pack.rows_S[row]], target)
        for pack, reached in zip(packs, seen, strict=True)
        for row, owner, target in zip(pack.pair_row_N.tolist(), pack.pair_owner_N.tolist(), pack.pair_target_N.tolist(), strict=True)
    ]
    assert sorted(found) == asked
    assert all((np.diff(pack.pair_row_N) >= 0).all() for pack in packs), "the pairs of a row stand together"


@given(sequences, st.integers(1, 30))
def test_own_covers_every_token_once_and_in_order(lines: list[list[int]], tokens: int) -> None:
    for pack in make_packs(scored(lines), tokens):
        edges = [(a.q0, a.q1) for a in pack.own]
        assert [q0 for q0, _ in edges] == [0, *(q1 for _, q1 in edges[:-1])]
        assert edges[-1][1] == len(pack.ids_T)
        for at in range(len(pack.ids_T)):
            keys = sorted(k for k0, k1 in pack.ancestry(at) for k in range(k0, k1))
            assert keys == np.flatnonzero(pack.mask()[at]).tolist()


@given(sequences, st.integers(1, 30), st.randoms())
def test_the_order_of_the_sequences_changes_no_token(lines: list[list[int]], tokens: int, random: object) -> None:
    shuffled = list(lines)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ids = [[p.ids_T.tolist() for p in make_packs(scored(x), tokens)] for x in (lines, shuffled)]
    assert ids[0] == ids[1]


def test_a_known_case() -> None:
    header, question = list(range(100, 200)), list(range(300, 330))
    endings = [[1, 2, 3], [1, 5, 6], [7, 8, 9]]
    (pack,) = make_packs([Scored([*header, *question, *ending], 3) for ending in endings], 1024)
    # Read are header, question and each ending but its last token: 1 2 | 5 | 7 8.
    assert pack.ids_T.tolist() == [*header, *question, 1, 2, 5, 7, 8]
    assert pack.positions_T.tolist() == [*range(132), 131, 130, 131]
    assert [(a.q0, a.q1, a.causal) for a in pack.own] == [(0, 132, True), (132, 135, False)]
    assert [(a.q0, a.q1, a.k0, a.k1) for a in pack.others] == [(132, 133, 0, 131), (133, 135, 0, 130)]
    # The last of the question predicts three first tokens, of which two are the same row and target.
    assert pack.rows_S.tolist() == [129, 130, 131, 132, 133, 134]
    assert pack.pair_row_N.tolist() == [0, 0, 0, 1, 1, 2, 3, 4, 5]


def test_nothing_gives_no_pack() -> None:
    assert list(make_packs([], 10)) == []


@pytest.mark.parametrize(("a", "b", "common"), [([], [1], 0), ([1, 2], [1, 2], 2), ([1, 2, 3], [1, 4], 1), ([1], [1, 2], 1)])
def test_num_common(a: list[int], b: list[int], common: int) -> None:
    assert count_common(a, b) == count_common(b, a) == common
