import pytest

from records.finish import at_token_limit, cut_off


@pytest.mark.parametrize("reason", [None, "", "stop", "STOP", "stop_sequence", "eos_token", "eos", "end_turn"])
def test_a_text_that_ended_by_itself_is_whole(reason: str | None) -> None:
    assert cut_off(reason) is None


@pytest.mark.parametrize("reason", ["length", "max_tokens", "content_filter", "tool_calls", "abort", "repetition"])
def test_any_other_reason_is_a_cut_and_is_named(reason: str) -> None:
    assert cut_off(reason) == reason


@pytest.mark.parametrize(
    ("reason", "at_limit"),
    [
        ("length", True),
        ("MAX_TOKENS", True),
        ("model_length", True),
        ("content_filter", False),
        ("stop", False),
        (None, False),
    ],
)
def test_only_a_reason_that_more_tokens_help_is_the_token_limit(reason: str | None, at_limit: bool) -> None:
    assert at_token_limit(reason) is at_limit
