import pytest

from records.finish import cut_off


@pytest.mark.parametrize("reason", [None, "", "stop", "STOP", "stop_sequence", "eos_token", "end_turn"])
def test_a_text_that_ended_by_itself_is_whole(reason: str | None) -> None:
    assert cut_off(reason) is None


@pytest.mark.parametrize("reason", ["length", "max_tokens", "content_filter", "tool_calls", "abort", "repetition"])
def test_any_other_reason_is_a_cut_and_is_named(reason: str) -> None:
    assert cut_off(reason) == reason
