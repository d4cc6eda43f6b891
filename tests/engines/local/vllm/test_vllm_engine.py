"""vLLM itself, on a processor or a GPU: run by `make test-vllm`."""

import gc
import json
import math
import sys
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from console.errors import EngineError, InputError
from engines.local.transformers_engine import TransformersEngine
from engines.local.vllm.engine import VllmEngine
from engines.local.vllm.memory import KV_SPACE
from engines.options import EngineOptions, open_engine
from engines.protocol import Choice, Completion, Request, Sampling
from tests.engines.local.asking import (
    ARENA,
    GREEDY,
    RUBRIC,
    SCORES,
    TEN,
    assert_rows_stand_alone,
    in_order,
    requests,
    texts,
)
from tests.tiny import save_tiny_model

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]  # vLLM's own and those of its grammars


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("vllm") / "tiny", head_dim=32)


@pytest.fixture(scope="module", autouse=True)
def little_memory() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KV_SPACE, "1")
        yield


@pytest.fixture(scope="module")
def engine(folder: Path, little_memory: None) -> VllmEngine:
    found = open_engine(EngineOptions(str(folder), engine="vllm"))
    assert isinstance(found, VllmEngine)
    return found


@pytest.fixture(scope="module")
def reference(folder: Path) -> TransformersEngine:
    return TransformersEngine.load(folder, "tiny", batch_size=4)


@pytest.mark.parametrize(
    "choices", [SCORES, TEN, ARENA, ["1", "10", "100", "2"]], ids=["six", "ten", "arena", "nested"]
)
@pytest.mark.parametrize("prefix", ["", RUBRIC], ids=["no shared prefix", "shared prefix"])
def test_choices_have_the_logprobs_of_transformers(
    engine: VllmEngine, reference: TransformersEngine, prefix: str, choices: Sequence[str]
) -> None:
    asked = requests(9, prefix, "Score: ")
    expected: list[Choice] = in_order(reference.choose(asked, choices))
    found: list[Choice] = in_order(engine.choose(asked, choices))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-3)
        assert (ours.index, ours.n_prompt_tokens, ours.error) == (theirs.index, theirs.n_prompt_tokens, None)
        assert 0 < sum(map(math.exp, ours.logprobs)) < 1


def test_greedy_completions_are_those_of_transformers(engine: VllmEngine, reference: TransformersEngine) -> None:
    asked = requests(9)
    # This model and length: elsewhere a tie may be broken differently.
    assert in_order(engine.generate(asked, GREEDY)) == in_order(reference.generate(asked, GREEDY))


def test_a_rows_text_does_not_depend_on_its_neighbours(engine: VllmEngine) -> None:
    assert_rows_stand_alone(engine)


def test_drawn_texts_do_not_depend_on_how_many_prompts_are_read_at_once(engine: VllmEngine) -> None:
    # more than the 4,096 tokens that vLLM reads at once: a part of a prompt would fail on a processor
    words = [" ".join(str(number * 1000 + place) for place in range(60)) for number in range(40)]
    asked = [Request([{"role": "user", "content": text}], seed=number) for number, text in enumerate(words)]
    drawn = in_order(engine.generate(asked, Sampling(4, 0.7, 0.9)))
    assert sum(row.n_prompt_tokens for row in drawn) > 2 * 4096
    assert [row.error for row in drawn] == [None] * 40
    assert [row.text for row in drawn[:3]] == texts(engine, asked[:3], Sampling(4, 0.7, 0.9))


def test_candidates_of_one_prompt_differ_by_their_seeds(engine: VllmEngine) -> None:
    chat = requests(1)[0].messages
    assert len(set(texts(engine, [Request(chat, seed=seed) for seed in range(6)], Sampling(16, 1.0, 1.0)))) == 6


def test_a_resumed_call_gives_exactly_what_is_missing(engine: VllmEngine) -> None:
    asked = requests(11)
    sampling = Sampling(8, 1.0, 0.9)
    whole = in_order(engine.generate(asked, sampling))
    assert in_order(engine.generate(asked, sampling, {0, 3, 4})) == [row for row in whole if row.index not in (0, 3, 4)]
    choices = in_order(engine.choose(asked, TEN))
    missing = in_order(engine.choose(asked, TEN, {0, 3, 4}))
    assert [choice.index for choice in missing] == [1, 2, *range(5, 11)]
    for choice in missing:
        assert choice.logprobs == pytest.approx(choices[choice.index].logprobs, abs=1e-4)


def test_a_caller_that_stops_early_leaves_nothing_running(engine: VllmEngine) -> None:
    rows = engine.generate(requests(20), Sampling(64, 1.0))
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    assert not engine.loaded.llm.llm_engine.has_unfinished_requests()
    assert len(texts(engine, requests(3), GREEDY)) == 3


def test_a_call_may_begin_before_another_one_has_ended(engine: VllmEngine) -> None:
    alone, sampling = texts(engine, requests(30), Sampling(16, 1.0)), Sampling(16, 1.0)
    outer: dict[int, str] = {}
    for completion in engine.generate(requests(30), sampling):
        outer[completion.index] = completion.text
        inner = in_order(engine.choose(requests(4, prefill="Score: "), SCORES))
        assert [choice.index for choice in inner] == [0, 1, 2, 3]
    assert [outer[index] for index in range(30)] == alone


def test_rows_come_as_they_finish(engine: VllmEngine) -> None:
    asked = [*requests(4), *requests(2, prefill="x")]
    found: list[Completion] = list(engine.generate(asked, Sampling(200, 1.0)))
    lengths = [completion.n_tokens for completion in found]
    assert lengths == sorted(lengths) and len(set(lengths)) > 1


def test_a_stop_string_ends_the_text_before_it(engine: VllmEngine) -> None:
    [text] = texts(engine, requests(1), GREEDY)
    stop = text[3:6]
    [cut] = engine.generate(requests(1), Sampling(12, 0.0, stop=(stop,)))
    assert cut.text == text[: text.index(stop)] and cut.finish_reason == "stop"


def test_a_text_cut_off_at_the_limit_says_so(engine: VllmEngine) -> None:
    [completion] = engine.generate(requests(1), Sampling(3, 0.0))
    assert (completion.n_tokens, completion.finish_reason, completion.end) == (3, "length", "")


def test_a_model_ends_its_turn_and_the_end_is_not_in_the_text(folder: Path, engine: VllmEngine) -> None:
    ended = [row for row in engine.generate(requests(40), Sampling(400, 1.0, 1.0)) if row.finish_reason == "stop"]
    assert ended and all(row.end == "<|im_end|>" and "<|im_end|>" not in row.text for row in ended)


SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 5}},
    "required": ["score"],
    "additionalProperties": False,
}


def test_a_schema_is_followed(engine: VllmEngine) -> None:
    found = texts(engine, requests(5, schema=SCHEMA), Sampling(200, 1.0))
    assert all(set(json.loads(text)) == {"score"} and 0 <= json.loads(text)["score"] <= 5 for text in found)


def test_a_schema_that_no_grammar_follows_is_an_error(engine: VllmEngine) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "nonsense"}}}
    with pytest.raises(EngineError, match="vLLM refuses the request"):
        list(engine.generate(requests(2, schema=schema), GREEDY))
    assert not engine.loaded.llm.llm_engine.has_unfinished_requests()


def test_a_prompt_over_the_context_is_an_error_of_its_row_only(engine: VllmEngine) -> None:
    asked = [*requests(2), Request([{"role": "user", "content": "point " * 4000}])]
    for found in (in_order(engine.generate(asked, GREEDY)), in_order(engine.choose(asked, SCORES))):
        assert "over the model's context of 2048" in found[2].error and found[2].n_calls == 0
        assert found[0].error is None and found[1].error is None


def test_a_context_of_the_users_is_kept_to(folder: Path) -> None:
    engine = open_engine(EngineOptions(str(folder), engine="vllm", max_model_len=256))
    [choice] = engine.choose([Request([{"role": "user", "content": "point " * 300}])], SCORES)
    assert "over the model's context of 256" in str(choice.error)


def test_a_beginning_that_many_prompts_share_is_computed_once(engine: VllmEngine) -> None:
    asked = requests(50, "The answer gives a point. " * 30, "Score: ")
    cached = []
    llm_engine, step = engine.loaded.llm.llm_engine, engine.loaded.llm.llm_engine.step

    def counted() -> Any:
        outputs = step()
        cached.extend((output.num_cached_tokens, len(output.prompt_token_ids)) for output in outputs)
        return outputs

    llm_engine.step = counted
    try:
        list(engine.choose(asked, SCORES))
    finally:
        del llm_engine.step
    assert sum(n_cached for n_cached, _ in cached) > 0.7 * sum(n_prompt for _, n_prompt in cached)


def test_a_temperature_that_vllm_does_not_take_is_refused(engine: VllmEngine) -> None:
    with pytest.raises(InputError, match="vLLM takes at most 2"):
        list(engine.generate(requests(1), Sampling(4, 2.5)))


def test_the_rows_seconds_add_up_to_no_more_than_the_whole(engine: VllmEngine) -> None:
    for call in (engine.generate(requests(9), GREEDY), engine.choose(requests(9), TEN)):
        started = time.monotonic()
        found: Sequence[Any] = list(call)
        whole = time.monotonic() - started
        assert all(result.seconds > 0 for result in found) and sum(result.seconds for result in found) <= whole


def test_nothing_is_loaded_for_what_is_all_there(folder: Path) -> None:
    engine = VllmEngine("tiny", folder)
    assert list(engine.generate(requests(1), GREEDY, {0})) == list(engine.choose(requests(1), SCORES, {0})) == []
    assert "_model" not in vars(engine)


def test_rows_of_the_two_engines_have_keys_of_their_own(engine: VllmEngine, reference: TransformersEngine) -> None:
    assert engine.digest != reference.digest


def test_an_engine_that_nobody_holds_gives_its_memory_back_and_the_next_one_starts(folder: Path) -> None:
    first = VllmEngine("tiny", folder)
    list(first.choose(requests(1), SCORES))
    runner = weakref.ref(first.loaded.llm.llm_engine)
    del first
    gc.collect()
    assert runner() is None
    assert len(list(VllmEngine("tiny", folder).choose(requests(1), SCORES))) == 1


def test_two_engines_at_once_do_not_end_each_other(engine: VllmEngine, folder: Path) -> None:
    list(engine.choose(requests(1), SCORES))
    assert len(list(VllmEngine("tiny", folder).choose(requests(1), SCORES))) == 1
    gc.collect()  # the second one has gone
    assert len(list(engine.choose(requests(2), SCORES))) == 2


def test_an_engine_that_is_let_go_while_the_next_one_starts_does_not_end_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engines.local.vllm import starting

    held = [VllmEngine("first", folder)]
    list(held[0].choose(requests(1), SCORES))
    start = starting.LLM

    def letting_go(*arguments: Any, **settings: Any) -> Any:
        llm = start(*arguments, **settings)
        held.clear()
        gc.collect()
        return llm

    monkeypatch.setattr(starting, "LLM", letting_go)
    with monkeypatch.context() as alone:  # as where no other engine is left
        alone.setattr(starting, "_running", weakref.WeakSet(starting._running & {held[0].loaded.llm}))
        second = VllmEngine("second", folder)
        assert len(list(second.choose(requests(1), SCORES))) == 1
        assert len(list(second.choose(requests(2), SCORES))) == 2


def test_it_starts_beside_llvmlite(folder: Path) -> None:
    binding = pytest.importorskip("llvmlite.binding")
    assert len(list(VllmEngine("tiny", folder).choose(requests(1), SCORES))) == 1
    assert sys.modules["llvmlite.binding.ffi"] is binding.ffi


def test_weights_that_cannot_be_loaded_are_an_error_that_says_why(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "broken", head_dim=32)
    (folder / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises(EngineError, match="vLLM cannot start with it"):
        list(VllmEngine("broken", folder).choose(requests(1), SCORES))
