from typing import Any

import pytest

from benchmarks.serve_load import has_verdict


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"rewards": [4.0], "errors": {}}, True),
        ({"rewards": [4.0, None]}, False),
        ({"answers": [{"type": "predicate", "probability": 0.5}]}, True),
        ({"answers": [{"type": "refusal", "error": "no verdict"}]}, False),
        ({}, False),
    ],
)
def test_a_reply_without_a_verdict_counts_as_lost_whatever_was_asked(reply: dict[str, Any], expected: bool) -> None:
    assert has_verdict(reply) == expected
