from __future__ import annotations

from windtunnel.harness.system.disk_texts import IN_MEMORY_BYTES, DiskTexts


def test_texts_are_read_in_any_order() -> None:
    texts = ["", "plain", "ünï 👩‍👧", "", "x" * IN_MEMORY_BYTES, "last"]
    kept = DiskTexts()
    for text in texts:
        kept.append(text)
    assert len(kept) == len(texts)
    assert [kept[place].decode() for place in (5, 2, 4, 0, 3, 1)] == [texts[place] for place in (5, 2, 4, 0, 3, 1)]
    assert [kept.size(place) for place in range(3)] == [0, 5, len(texts[2].encode())]
