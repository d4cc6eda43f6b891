import json
import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.errors import InputError
from engines.scripted import ScriptedEngine
from judges.judging.judge import Judge
from judges.rubrics.rubric import load_rubric
from judges.tools.refusal import PATTERNS, is_refusal
from records import Judgment, Response, Store, Usage
from tests.tiny import save_tiny_model
from trainer.monitors.compute import monitors_of
from trainer.monitors.diversity import distinct, diversity, repeated_share, self_bleu
from trainer.monitors.judge_accuracy import judge_accuracy
from trainer.monitors.kl import KL, AnswerLikelihood, kl_of, likelihoods_into
from trainer.monitors.monitors import MONITORS, Monitors

RUBRIC = load_rubric("additive")


def answer(number: int, text: str, finish: str | None = "stop", n_tokens: int | None = 3) -> Response:
    return Response(
        id=f"r{number}", prompt_id=str(number), prompt=f"say {number}", response=text, model="m",
        finish_reason=finish, n_tokens=n_tokens,
    )  # fmt: skip


def judged(response: Response, score: float | None, judge: str = "own") -> Judgment:
    return Judgment(
        id=f"{judge}{response.id}", response_id=response.id, prompt_id=response.prompt_id, prompt=response.prompt,
        response=response.response, model="m", score=score, scores=[score], replies=[], error=None, spread=None,
        rubric="additive", judge=judge, usage=Usage(),
    )  # fmt: skip


ANSWERS = [answer(0, "one"), answer(1, "one two", "length", 5), answer(2, "one two three"), answer(3, "a b c d", None)]
SCORES = [judged(row, score) for row, score in zip(ANSWERS, [5.0, 3.0, 4.5, None], strict=True)]


def test_an_answer_that_was_cut_off_for_any_reason_is_truncated() -> None:
    endings = ["max_tokens", "content_filter", "eos_token", "stop", None]
    rows = [answer(number, "one", ending) for number, ending in enumerate(endings)]
    found = monitors_of(1, rows, [], RUBRIC)
    assert (found.truncated, found.n["truncated"]) == (0.5, 4)


def test_inflation_compares_each_answer_with_itself_where_all_share_an_id() -> None:
    rows = [msgspec.structs.replace(answer(number, text), id="q1") for number, text in enumerate(["one", "two", "six"])]
    own = [judged(row, score) for row, score in zip(rows, [5.0, 3.0, 1.0], strict=True)]
    frozen = [judged(row, score) for row, score in zip(rows, [4.0, 2.0, 0.0], strict=True)]
    assert monitors_of(1, rows, own, RUBRIC, frozen=frozen).inflation == 1.0


def test_lengths_scores_and_endings_by_hand() -> None:
    found = monitors_of(1, ANSWERS, SCORES, RUBRIC)
    assert found.mean_chars == (3 + 7 + 13 + 7) / 4 and found.mean_tokens == (3 + 5 + 3 + 3) / 4
    assert found.mean_score == pytest.approx(12.5 / 3) and found.unscored == 0.25
    assert found.top_score == pytest.approx(2 / 3)  # 5 and 4.5 are nearer to 5 than to 4
    assert found.truncated == pytest.approx(1 / 3)  # one answer does not say how it ended
    assert found.n["truncated"] == 3 and found.n["mean_score"] == 3 and found.n["unscored"] == 4
    assert found.length_score == pytest.approx(-0.5)  # ranks 1 2 3 against 3 1 2


def test_the_correlation_is_the_formula_of_untied_ranks() -> None:
    ranks = [6, 4, 9, 8, 1, 2, 3, 10, 5, 7]
    rho = 1 - 6 * sum((place - rank) ** 2 for place, rank in enumerate(ranks, start=1)) / 990
    rows = [answer(n, "x" * n) for n in range(1, 11)]
    found = monitors_of(1, rows, [judged(row, rank / 2) for row, rank in zip(rows, ranks, strict=True)], RUBRIC)
    assert found.length_score == pytest.approx(rho)


def test_inflation_is_the_gap_to_the_frozen_judge_and_its_slope_starts_at_iter0() -> None:
    frozen = [judged(row, 2.0, "frozen") for row in ANSWERS]
    base = monitors_of(0, ANSWERS, [judged(row, 2.5) for row in ANSWERS], RUBRIC, frozen=frozen)
    found = monitors_of(3, ANSWERS, SCORES, RUBRIC, frozen=frozen, base=base)
    assert base.inflation == 0.5 and base.inflation_slope is None
    assert found.inflation == pytest.approx(12.5 / 3 - 2) and found.n["inflation"] == 3
    assert found.inflation_slope == pytest.approx((12.5 / 3 - 2 - 0.5) / 3)


def test_what_is_not_measured_is_none_with_its_reason_and_never_0() -> None:
    rows = [answer(0, "one", None, None), answer(1, "two", None, None)]
    found = monitors_of(1, rows, [judged(row, None) for row in rows], RUBRIC)
    assert {
        "mean_tokens",
        "truncated",
        "mean_score",
        "top_score",
        "length_score",
        "inflation",
        "kl",
        "judge_accuracy",
    } <= {name for name in MONITORS if getattr(found, name) is None}
    for name in MONITORS:
        assert (getattr(found, name) is None) == bool(found.reasons.get(name)) == (name not in found.n), name
    assert found.unscored == 1 and found.refused == 0
    assert "no answer has a score" in found.reasons["mean_score"]
    assert "not judged" in monitors_of(1, rows, [], RUBRIC).reasons["unscored"]


def test_without_an_answer_everything_is_none() -> None:
    found = monitors_of(1, [], [], RUBRIC)
    assert all(getattr(found, name) is None for name in MONITORS) and set(found.reasons) == set(MONITORS)


def test_the_row_survives_its_file(tmp_path: Path) -> None:
    import msgspec

    found = monitors_of(2, ANSWERS, SCORES, RUBRIC, kl=KL(0.1, None, 0.12, 0.01, 1, 7))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Monitors) == found
    assert found.kl_error is None and "one answer" in found.reasons["kl_error"] and found.n["kl"] == 7


def test_distinct_n_by_hand() -> None:
    answers = [["the", "cat", "sat"], ["the", "cat", "ran", "home"]]
    assert distinct(answers, 1) == 5 / 7 and distinct(answers, 2) == 4 / 5 and distinct(answers, 3) == 3 / 3
    assert distinct(answers, 5) is None


def test_self_bleu_is_1_for_equal_answers_and_0_for_strangers() -> None:
    same = ["the", "cat", "sat", "on", "the", "mat"]
    assert self_bleu([same, same, same], 0) == pytest.approx(1)
    assert self_bleu([same, ["dogs", "never", "eat", "green", "apples"]], 0) == pytest.approx(0, abs=0.05)
    assert self_bleu([same], 0) is None


def test_self_bleu_agrees_with_nltk() -> None:
    from nltk.translate.bleu_score import sentence_bleu

    texts = [
        ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "today"],
        ["the", "quick", "brown", "fox", "jumps", "over", "a", "very", "lazy", "dog"],
        ["a", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "now"],
    ]
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    expected = sum(sentence_bleu([texts[j]], texts[i]) for i, j in pairs) / len(pairs)
    assert self_bleu(texts, 0) == pytest.approx(expected)


def test_a_sample_of_the_pairs_is_near_all_of_them_and_repeats_itself() -> None:
    from random import Random

    draw = Random(0)
    answers = [[draw.choice("abcdef") for _ in range(30)] for _ in range(30)]
    whole, part = self_bleu(answers, 1, 10_000), self_bleu(answers, 1, 200)
    assert whole is not None and part is not None
    assert part != whole and part == pytest.approx(whole, abs=0.01) and part == self_bleu(answers, 1, 200)


def test_repetition_by_hand() -> None:
    assert repeated_share(["a", "b", "c", "d", "a", "b", "c", "d"]) == pytest.approx(1 / 5)  # abcd bcda cdab dabc abcd
    assert (
        repeated_share(["a", "a", "a", "a", "a", "a"]) == pytest.approx(2 / 3)
        and repeated_share(["a", "b", "c"]) is None
    )


def test_words_are_taken_apart_from_their_punctuation_and_case() -> None:
    assert diversity(["The cat. the cat!"]).distinct[0] == pytest.approx(4 / 6)
    assert diversity(["", "  "]).distinct == (None, None, None)


def test_every_refusal_pattern_finds_its_example() -> None:
    import re
    import tomllib

    for row in tomllib.loads(PATTERNS.read_text())["pattern"]:
        assert re.search(row["find"], row["example"], re.IGNORECASE) and is_refusal(row["example"]), row["find"]


@pytest.mark.parametrize(
    "text",
    [
        "I’m sorry, but I can’t help with that request.",
        "As an AI language model, I cannot provide medical advice.",
        "I apologize, but I cannot fulfill that request as it is harmful.",
    ],
)
def test_refusals_are_found(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sure! Here is a recipe for bread.",
        "I'm sorry to hear that your dog is ill. Here is what you can do.",
        "A letter of apology: I am sorry that I broke the vase.",
        "You cannot divide by zero, so the answer is undefined.",
        "x" * 300 + " I cannot help with that.",
    ],
)
def test_answers_that_only_sound_like_one_are_not(text: str) -> None:
    assert not is_refusal(text)


def test_refusals_in_real_answers(data: Path) -> None:
    import gzip

    def share(name: str) -> float:
        rows = json.loads(gzip.decompress((data / "alpaca_eval" / "model_outputs" / f"{name}.json.gz").read_bytes()))
        return sum(is_refusal(row["output"]) for row in rows) / len(rows)

    # Read by eye: 8 of the 804 answers of Llama 2 chat refuse, none of the 805 of text-davinci-003.
    assert share("llama-2-70b-chat-hf") == pytest.approx(8 / 804) and share("text_davinci_003") == 0


def test_the_judge_is_measured_on_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    pair = {"output_1": "good answer", "output_2": "bad answer"}
    rows = [{"input": f"Q{n}", **pair, "label": 1 if n < 3 else 2} for n in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def better_is_good(request, choices):  # type: ignore[no-untyped-def]
        shown = request.messages[-1]["content"]
        return [0.0 if (choice == "4") == ("good answer" in shown) else -9.0 for choice in choices]

    judge = Judge(ScriptedEngine(logprobs=better_is_good), RUBRIC)
    found = judge_accuracy(judge, path, tmp_path / "out")
    assert (found.value, found.n, found.n_unscored) == (0.75, 4, 0)
    even = judge_accuracy(Judge(ScriptedEngine(), RUBRIC), path, tmp_path / "even")
    assert even.value == 0.5  # every pair is a tie


def test_a_silent_judge_has_no_accuracy(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps({"input": "Q", "output_1": "a", "output_2": "b", "label": 1}) + "\n")
    found = judge_accuracy(Judge(ScriptedEngine(lambda _: "no idea"), RUBRIC, read="text"), path, tmp_path / "out")
    assert found.value is None and found.n_unscored == 1
    assert monitors_of(1, ANSWERS, SCORES, RUBRIC, accuracy=found).judge_accuracy is None


def test_judge_accuracy_needs_a_labelled_set(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"text": "x"}\n')
    with pytest.raises(InputError, match="labelled set"):
        judge_accuracy(Judge(ScriptedEngine(), RUBRIC), path, tmp_path / "out")


def row(number: int, logprobs: list[float]) -> AnswerLikelihood:
    return AnswerLikelihood(id=str(number), response_id=str(number), logprobs=logprobs)


def test_kl_by_hand() -> None:
    found = kl_of([row(0, [-1.0, -2.0]), row(1, [-1.0])], [row(0, [-1.5, -2.5]), row(1, [-0.5])])
    assert found is not None and (found.n_answers, found.n_tokens) == (2, 3)
    assert found.per_token == pytest.approx((0.5 + 0.5 - 0.5) / 3)
    k3 = [math.exp(-0.5) - 1 + 0.5] * 2 + [math.exp(0.5) - 1 - 0.5]
    assert found.k3 == pytest.approx(sum(k3) / 3)
    # ratio estimator: totals 1 and -0.5 over 2 and 1 tokens, residuals 1 - 2/6 and -0.5 - 1/6
    assert found.standard_error == pytest.approx(math.sqrt(2 * ((2 / 3) ** 2 * 2)) / 3)


def test_kl_without_a_common_answer_is_none_and_other_tokens_are_refused() -> None:
    assert kl_of([row(0, [-1.0])], [row(1, [-1.0])]) is None
    with pytest.raises(InputError, match="shared tokenizer"):
        kl_of([row(0, [-1.0])], [row(0, [-1.0, -1.0])])


def near_models(tmp_path: Path) -> tuple[Any, Any]:
    """Return two engines a little apart, as a model and its parent are."""
    import torch

    from engines.local.transformers_engine import TransformersEngine

    model, base = (TransformersEngine.load(save_tiny_model(tmp_path / str(n), seed=n), str(n)) for n in (0, 1))
    with torch.no_grad():
        for own, other in zip(model.model.parameters(), base.model.parameters(), strict=True):
            other.copy_(own + 0.15 * (other - own))
    return model, replace(base, digest="near")


def test_the_likelihood_of_an_answer_is_that_of_transformers_and_counts_its_end(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    engine, _ = near_models(tmp_path)
    rows = [answer(0, "the user asked", "stop"), answer(1, "the user asked", "length"), answer(2, "", "length")]
    with Store(tmp_path / "likelihoods.jsonl", AnswerLikelihood) as store:
        ended, cut, empty = likelihoods_into(store, engine, rows, "likelihoods")
        assert likelihoods_into(store, engine, rows, "again") == [ended, cut, empty]
    assert empty.error == "the response is empty" and len(ended.logprobs) == len(cut.logprobs) + 1
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "0")
    opening = tokenizer.apply_chat_template(
        [{"role": "user", "content": "say 0"}], tokenize=False, add_generation_prompt=True
    )
    head = tokenizer(opening, add_special_tokens=False)["input_ids"]
    tail = [*tokenizer("the user asked", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    with torch.inference_mode():
        logits = AutoModelForCausalLM.from_pretrained(tmp_path / "0").eval()(torch.tensor([head + tail])).logits[0]
    expected = logits[len(head) - 1 : -1].log_softmax(-1).gather(1, torch.tensor(tail)[:, None])[:, 0]
    assert ended.logprobs == pytest.approx(expected.tolist(), abs=1e-4)


def test_kl_on_a_models_own_draws_is_the_exact_divergence(tmp_path: Path) -> None:
    import torch

    from engines.likelihood import answer_tokens, token_logprobs

    model, base = near_models(tmp_path)
    torch.manual_seed(0)
    own, other, exact, n = [], [], 0.0, 0
    head, _ = answer_tokens(model, "say something", "")
    for number in range(80):
        tokens = list(head)
        for _ in range(6):
            with torch.inference_mode():
                p, q = (plain_logprobs(engine, tokens) for engine in (model, base))
            exact, n = exact + float((p.exp() * (p - q)).sum()), n + 1
            tokens.append(int(torch.multinomial(p.exp(), 1)))
        own.append(row(number, next(token_logprobs(model, [(tokens, 6)])).logprobs))
        other.append(row(number, next(token_logprobs(base, [(tokens, 6)])).logprobs))
    found = kl_of(own, other)
    assert found is not None and found.standard_error is not None and found.k3_standard_error is not None
    assert exact / n > 0.05
    assert abs(found.per_token - exact / n) < 3 * found.standard_error
    assert abs(found.k3 - exact / n) < 3 * found.k3_standard_error
    same = kl_of(own, own)
    assert same is not None and same.per_token == 0 and same.k3 == 0


def plain_logprobs(engine: Any, tokens: list[int]) -> Any:
    """Return the log-probabilities of the next token, (V,), from the engine's weights through transformers alone."""
    import torch
    from transformers import AutoModelForCausalLM

    if not hasattr(engine, "plain"):
        config = deepcopy(engine.model.config)  # whose attention changes below
        engine.plain = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
        engine.plain.load_state_dict(engine.model.state_dict())
    return engine.plain(torch.tensor([tokens])).logits[0, -1].log_softmax(-1)
