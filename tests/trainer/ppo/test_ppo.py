"""PPO on models of nine tokens, whose best policies under the KL penalty can be counted out."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from console.errors import EngineError, InputError, JudgeError, TrainingError
from engines.options import EngineOptions
from records import Prompt, read_rows
from tests.tiny import save_tiny_model
from trainer.ppo.options import PPOOptions
from trainer.ppo.rewards import RewardSource, reward_function, reward_model
from trainer.ppo.trainer import PPOStep, checkpoints_of, log_of, train_ppo
from trainer.training.checkpoints import checkpoints_in, flaw_of

WORDS = ["<pad>", "<s>", "</s>", "a", "b", "c", "d", "e", "ask"]
EOS = 2
PROMPTS = [Prompt(id="p", prompt="ask")]
BANDIT = PPOOptions(
    rollout_batch_size=256, step_batch_size=256, micro_batch_size=256, generation_batch_size=256,
    response_length=1, learning_rate=2e-2, warmup_steps=0, kl_coef=0.5, kl_clamp=False, steps=20,
)  # fmt: skip
SMALL = replace(BANDIT, rollout_batch_size=16, step_batch_size=8, micro_batch_size=4, response_length=3, steps=6)


@pytest.fixture(scope="session")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_nine(tmp_path_factory.mktemp("nine") / "model")


def save_nine(folder: Path, context: int = 64) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        chat_template="<s> {% for m in messages %}{{ m['content'] }} {% endfor %}",
    )  # fmt: skip
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "llama", vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=context, initializer_range=0.3,
        pad_token_id=0, bos_token_id=1, eos_token_id=EOS,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def source(of_text: Callable[[str], float | None], name: str = "test") -> RewardSource:
    return RewardSource(name, lambda prompts, texts: [of_text(text) for text in texts])


def steps_of(out: Path) -> list[PPOStep]:
    return list(read_rows(log_of(out), PPOStep))


def same(rows: Sequence[PPOStep]) -> list[dict[str, Any]]:
    """Return the rows without what the clock says."""
    import msgspec

    return [msgspec.structs.asdict(row) | {"seconds": 0} for row in rows]


def next_probs(folder: Path, sequences: list[list[int]]) -> torch.Tensor:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return model(torch.tensor(sequences)).logits[:, -1].double().softmax(-1)


ASKED = [1, 8]


def test_the_bandits_policy_becomes_the_best_one_under_the_penalty(nine: Path, tmp_path: Path) -> None:
    rewards = {"a": 1.0, "b": 0.5, "c": -0.5, "": 0.2}
    train_ppo(nine, tmp_path / "out", PROMPTS, source(lambda text: rewards.get(text, 0.0)), BANDIT, seed=0)
    [start], [found] = next_probs(nine, [ASKED]), next_probs(tmp_path / "out", [ASKED])
    given = torch.tensor([rewards[""] if n <= EOS else rewards.get(word, 0.0) for n, word in enumerate(WORDS)])
    best = start * (given.double() / BANDIT.kl_coef).exp()
    best /= best.sum()
    assert (start - best).abs().sum() / 2 > 0.25, "there is something to learn"
    assert (found - best).abs().sum() / 2 < 0.04  # total variation


def objective(policy: Path, reference: Path, n_tokens: int, beta: float) -> tuple[float, float]:
    """Return E[reward] - beta KL of a policy, and the best there is, beta log E_ref[exp(reward / beta)], both exact."""
    total = partition = 0.0
    level: list[tuple[list[int], float, float]] = [([], 0.0, 0.0)]  # tokens, log-probability under both
    for depth in range(n_tokens):
        prefixes = [ASKED + tokens for tokens, _, _ in level]
        mine, other = next_probs(policy, prefixes).log(), next_probs(reference, prefixes).log()
        grown = [
            ([*tokens, n], p + float(mine[row, n]), q + float(other[row, n]))
            for row, (tokens, p, q) in enumerate(level)
            for n in range(len(WORDS))
        ]
        ends = [one for one in grown if one[0][-1] == EOS or depth == n_tokens - 1]
        for tokens, p, q in ends:
            reward = tokens.count(3)
            total += math.exp(p) * (reward - beta * (p - q))
            partition += math.exp(q) * math.exp(reward / beta)
        level = [one for one in grown if one[0][-1] != EOS]
    return total, beta * math.log(partition)


def test_a_policy_that_is_paid_for_a_word_comes_near_the_best_under_the_penalty(nine: Path, tmp_path: Path) -> None:
    beta = 0.5
    options = replace(
        BANDIT, rollout_batch_size=128, step_batch_size=64, micro_batch_size=64, response_length=3, kl_coef=beta,
        whiten_rewards=False, learning_rate=1e-2,
    )  # fmt: skip
    paid = source(lambda text: float(text.split().count("a")))
    train_ppo(nine, tmp_path / "out", PROMPTS, paid, options, seed=0)
    (reached, best), (at_start, _) = (objective(one, nine, 3, beta) for one in (tmp_path / "out", nine))
    assert best > at_start + 0.4
    assert reached > at_start + 0.9 * (best - at_start)
    rows = steps_of(tmp_path / "out")
    assert rows[-1].reward > rows[0].reward + 0.5  # type: ignore[operator]
    assert rows[0].kl == pytest.approx(0, abs=1e-5) and rows[0].clip_fraction is not None


def test_an_answer_without_a_reward_is_not_learnt_from(nine: Path, tmp_path: Path) -> None:
    options = replace(BANDIT, kl_coef=0.0, steps=8, step_batch_size=128, learning_rate=3e-3)

    def share_of_b(missing: float | None) -> float:
        calls = itertools.count()  # the other rewards say nothing about their answers
        noise = source(lambda text: missing if text == "b" else 5.0 + (-1) ** next(calls))
        out = tmp_path / str(missing)
        train_ppo(nine, out, PROMPTS, noise, options, seed=0)
        assert all((row.n_null > 0) == (missing is None) for row in steps_of(out))
        return float(next_probs(out, [ASKED])[0, 4])

    before = float(next_probs(nine, [ASKED])[0, 4])
    assert before / 2 < share_of_b(None) < 2 * before
    assert share_of_b(0.0) < before / 4, "as it would be if a missing reward were 0"


def test_rewards_that_are_missing_for_half_of_a_batch_change_no_other_answers_weight(
    nine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.ppo import trainer

    seen: list[Any] = []
    make = trainer.experience_of
    monkeypatch.setattr(trainer, "experience_of", lambda *given: seen.append(make(*given)) or seen[-1])
    calls = itertools.count()
    half = RewardSource("half", lambda _, texts: [float(next(calls)) if n % 2 else math.nan for n in range(len(texts))])
    train_ppo(nine, tmp_path / "out", PROMPTS, half, replace(SMALL, steps=1), seed=0)
    [experience] = seen
    assert len(experience.answers) == 8 and steps_of(tmp_path / "out")[0].n_null == 8
    on = experience.advantages[experience.mask]
    assert float(on.mean()) == pytest.approx(0, abs=1e-6) and float(on.std(correction=0)) == pytest.approx(1, abs=1e-3)


def test_a_step_without_any_reward_is_skipped_and_several_stop_the_run(nine: Path, tmp_path: Path) -> None:
    calls = itertools.count(1)
    flaky = RewardSource("flaky", lambda _, texts: [None] * len(texts) if next(calls) == 2 else [1.0] * len(texts))
    train_ppo(nine, tmp_path / "out", PROMPTS, flaky, replace(SMALL, steps=3), seed=0)
    rows = steps_of(tmp_path / "out")
    assert [row.n_null for row in rows] == [0, 16, 0] and rows[1].policy_loss is None and rows[1].kl is None
    never = source(lambda text: None, "never")
    options = replace(SMALL, steps=9, max_unrewarded_steps=3)
    with pytest.raises(TrainingError, match=r"never: no answer got a reward in 3 steps in a row.*nothing is saved"):
        train_ppo(nine, tmp_path / "none", PROMPTS, never, options, seed=0)
    with pytest.raises(TrainingError, match="nothing was learned"):
        train_ppo(nine, tmp_path / "none", PROMPTS, never, replace(options, steps=2), seed=0)
    assert not (tmp_path / "none").exists()


def test_a_judge_with_too_few_verdicts_stops_the_training_after_some_steps(nine: Path, tmp_path: Path) -> None:
    half = replace(source(lambda text: None if len(text) % 2 else 1.0), min_coverage=0.9)
    few = replace(SMALL, steps=8, kl_coef=0.0)
    with pytest.raises(JudgeError, match=r"only \d+% of the answers got a verdict up to step 5, less than 90%"):
        train_ppo(nine, tmp_path / "ppo", PROMPTS, half, few, seed=0)
    assert len(steps_of(tmp_path / "ppo")) == 5


def test_a_loss_that_is_no_number_names_its_step_and_keeps_the_last_checkpoint(nine: Path, tmp_path: Path) -> None:
    calls = itertools.count(1)
    wild = RewardSource("wild", lambda _, texts: [1e300 if next(calls) > 48 else float(len(t)) for t in texts])
    with pytest.raises(TrainingError, match=r"at step 4; the last good checkpoint is .*step-000003"):
        train_ppo(nine, tmp_path / "out", PROMPTS, wild, replace(SMALL, save_every_n_steps=1), seed=0)
    *_, last = checkpoints_in(checkpoints_of(tmp_path / "out"))
    assert last.name == "step-000003" and flaw_of(last) is None and not (tmp_path / "out").exists()


def test_a_weight_that_is_no_number_stops(nine: Path, tmp_path: Path) -> None:
    lengths = source(lambda text: float(len(text)))
    with pytest.raises(TrainingError, match="step 1.*nothing is saved"):
        train_ppo(nine, tmp_path / "out", PROMPTS, lengths, replace(SMALL, learning_rate=1e30), seed=0)


def test_a_policy_that_runs_from_its_reference_stops(nine: Path, tmp_path: Path) -> None:
    options = replace(SMALL, learning_rate=0.1, max_kl=0.05, save_every_n_steps=1)
    with pytest.raises(TrainingError, match=r"step 2 are .* nats from the reference, over max_kl \(0.05\); nothing"):
        train_ppo(nine, tmp_path / "out", PROMPTS, source(lambda text: float(len(text))), options, seed=0)


def test_a_training_that_was_stopped_goes_on_with_the_same_numbers(nine: Path, tmp_path: Path) -> None:
    prompts = [Prompt(id=word, prompt=f"ask {word}") for word in "abcde"]
    options = replace(SMALL, kl_target=0.1, kl_horizon=100, save_every_n_steps=2)
    counted = {"calls": 0, "stop": 0}

    def reward(prompts: Any, texts: list[str]) -> list[float]:
        counted["calls"] += 1
        if counted["calls"] == counted["stop"]:
            raise KeyboardInterrupt
        return [float(text.count("a")) for text in texts]

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_ppo(nine, whole, prompts, RewardSource("r", reward), options, seed=3)
    counted |= {"calls": 0, "stop": 6}
    with pytest.raises(KeyboardInterrupt):
        train_ppo(nine, parts, prompts, RewardSource("r", reward), options, seed=3)
    assert [one.name for one in checkpoints_in(checkpoints_of(parts))] == ["step-000002", "step-000004"]
    left = [sorted(path.name for path in one.glob("*.safetensors")) for one in checkpoints_in(checkpoints_of(parts))]
    assert left[0] == ["model.safetensors"] and len(left[1]) == 3, "only the last one has what a training needs"
    counted |= {"calls": 0, "stop": 0}
    train_ppo(nine, parts, prompts, RewardSource("r", reward), options, seed=3)
    assert counted["calls"] == 2, "it goes on from step 4"
    assert [row.step for row in steps_of(parts)] == [1, 2, 3, 4, 5, 6], "each step once, the one made again too"
    assert same(steps_of(parts)) == same(steps_of(whole)) and len({row.kl_coef for row in steps_of(whole)}) > 3
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    files = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert files <= {".safetensors", ".json", ".jsonl", ".jinja", ".png"}, "and no pickle"
    left = [sorted(path.name for path in one.glob("*.safetensors")) for one in checkpoints_in(checkpoints_of(parts))]
    assert left == [["model.safetensors"]] * len(left), "nothing goes on from a training that is done"


def test_a_checkpoint_of_another_training_is_not_taken_for_this_ones(nine: Path, tmp_path: Path) -> None:
    options = replace(SMALL, save_every_n_steps=1, steps=3)
    lengths = source(lambda text: float(len(text)))
    train_ppo(nine, tmp_path / "out", PROMPTS, lengths, options, seed=0)
    (tmp_path / "out").rename(tmp_path / "first")
    train_ppo(nine, tmp_path / "out", PROMPTS, lengths, replace(options, cliprange=0.1), seed=0)
    assert len(steps_of(tmp_path / "out")) == 6
    names = {path.name for path in checkpoints_of(tmp_path / "out").iterdir()}
    assert names == {f"step-{n:06d}{aside}" for n in (1, 2) for aside in ("", ".1")}, "the first ones are set aside"


def test_prompts_that_leave_no_room_for_an_answer_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_nine(tmp_path / "short", context=6)
    prompts = [Prompt(id="short", prompt="ask a"), Prompt(id="long", prompt="ask a a")]  # 3 and 4 tokens
    lengths = source(lambda text: float(len(text)))
    train_ppo(folder, tmp_path / "out", prompts, lengths, replace(SMALL, steps=1), seed=0)
    assert "1 of 2 prompts left out: longer than --query-length (192), or the context of 6" in capsys.readouterr().err
    with pytest.raises(TrainingError, match="none of 1 prompts is within --query-length"):
        train_ppo(folder, tmp_path / "none", prompts[1:], lengths, SMALL, seed=0)


def save_reward_model(policy: Path, folder: Path) -> Path:
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(1)
    config = AutoConfig.from_pretrained(policy, num_labels=1)
    AutoModelForSequenceClassification.from_config(config, dtype=torch.float32).save_pretrained(folder)
    AutoTokenizer.from_pretrained(policy).save_pretrained(folder)
    return folder


def test_a_reward_model_may_have_another_tokenizer(nine: Path, tmp_path: Path) -> None:
    folder = save_reward_model(save_tiny_model(tmp_path / "tiny"), tmp_path / "rm")
    rewards = reward_model(folder, EngineOptions(batch_size=8))
    seen: list[str] = []

    def spy(prompts: Any, texts: list[str]) -> Sequence[float | None]:
        seen.extend(texts)
        return rewards.reward(prompts, texts)

    train_ppo(nine, tmp_path / "out", PROMPTS, replace(rewards, reward=spy), replace(SMALL, steps=1), seed=0)
    given = [reward for reward in rewards.reward(["ask"] * len(seen), seen) if reward is not None]
    [row] = steps_of(tmp_path / "out")
    assert row.reward == pytest.approx(sum(given) / len(given), abs=1e-4) and len(given) == 16 - row.n_null
    assert not any("</s>" in text for text in seen), "the texts are without special tokens"


def test_the_value_model_begins_with_the_reward_models_body_where_they_are_alike(nine: Path, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    from trainer.ppo.actor import load_value

    tokenizer = AutoTokenizer.from_pretrained(nine)
    alike, other = (
        save_reward_model(nine, tmp_path / "a"),
        save_reward_model(save_tiny_model(tmp_path / "t"), tmp_path / "o"),
    )
    for reward, expected in ((alike, alike), (other, nine), (None, nine)):
        body = load_value(nine, reward, tokenizer).body.state_dict()
        assert all(
            torch.equal(body[name], value) for name, value in AutoModel.from_pretrained(expected).state_dict().items()
        )


def test_what_is_learnt_from_is_as_likely_as_in_a_plain_forward(nine: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from trainer.ppo.actor import ActorCritic, load_value, padded

    policy = AutoModelForCausalLM.from_pretrained(nine).eval()
    rows = [([1, 8], [3, 4, 5, 2]), ([1, 8, 3, 3, 4], [7]), ([1], [6, 2])]
    value = load_value(nine, None, AutoTokenizer.from_pretrained(nine)).eval()
    torch.nn.init.normal_(value.head.weight)
    tokens = padded(rows, 0, policy.device)
    logprobs, _, values = ActorCritic(policy, value, 1.0)(tokens)
    (logprobs.sum() + values.sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in policy.parameters())
    assert tokens.mask.sum(1).tolist() == [4, 1, 2]
    for row, (prompt, answer) in enumerate(rows):
        whole, n = torch.tensor([[*prompt, *answer]]), len(prompt)
        expected = policy(whole).logits[0, n - 1 : -1].log_softmax(-1)[range(len(answer)), answer]
        assert torch.allclose(logprobs[row, : len(answer)], expected, atol=1e-5)
        hidden = value.body(whole).last_hidden_state[0, n - 1 : -1]
        assert torch.allclose(values[row, : len(answer)], value.head(hidden)[:, 0], atol=1e-5)


def test_answers_of_like_length_are_learnt_from_together_and_the_step_is_the_same(
    nine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    from trainer.ppo import update

    prompts = [Prompt(id=str(n), prompt="ask " * (1 + 3 * (n % 4))) for n in range(8)]
    options = replace(
        SMALL, steps=1, ppo_epochs=1, rollout_batch_size=64, step_batch_size=64, micro_batch_size=4,
        response_length=24, learning_rate=1e-3,
    )  # fmt: skip
    pad, as_given = update.padded, lambda _, part: part
    read: dict[str, int] = {"alike": 0, "drawn": 0}
    for name in read:

        def counted(rows: Any, *given: Any, name: str = name) -> Any:
            tokens = pad(rows, *given)
            read[name] += tokens.inputs["input_ids"].numel()
            return tokens

        monkeypatch.setattr(update, "padded", counted)
        if name == "drawn":
            monkeypatch.setattr(update, "alike_together", as_given)
        train_ppo(nine, tmp_path / name, prompts, source(lambda text: float(text.count("a"))), options, seed=1)
    assert read["alike"] < 0.9 * read["drawn"]
    alike, drawn = (load_file(tmp_path / name / "model.safetensors") for name in read)
    before = load_file(nine / "model.safetensors")
    for name, weight in alike.items():
        assert torch.allclose(weight, drawn[name], atol=1e-6) and not torch.equal(weight, before[name])


def test_an_answer_that_was_cut_off_pays_for_it(nine: Path, tmp_path: Path) -> None:
    options = replace(SMALL, steps=1, missing_eos_penalty=3.0, rollout_batch_size=64, step_batch_size=64)
    train_ppo(nine, tmp_path / "out", PROMPTS, source(lambda text: 1.0), options, seed=0)
    [row] = steps_of(tmp_path / "out")
    assert row.reward is not None and -2 < row.reward < 1


def failing(prompts: Any, texts: list[str]) -> list[float]:
    raise KeyError("no such thing")


def too_few(prompts: Any, texts: list[str]) -> list[float]:
    return [1.0]


def test_a_function_that_fails_says_so_in_a_line(nine: Path, tmp_path: Path) -> None:
    for name, what in (("failing", "the reward failed: KeyError"), ("too_few", "16 answers were given and 1 rewards")):
        with pytest.raises(EngineError, match=what):
            train_ppo(nine, tmp_path / "out", PROMPTS, reward_function(f"{__name__}:{name}"), SMALL, seed=0)
    with pytest.raises(InputError, match="has no function 'nothing'"):
        reward_function(f"{__name__}:nothing")
    with pytest.raises(InputError, match="cannot be imported"):
        reward_function("no_such_module:f")


def test_a_judge_is_asked_once_about_an_answer(tmp_path: Path) -> None:
    from engines.scripted import ScriptedEngine
    from judges.judging.judge import open_judge
    from judges.options import JudgeOptions
    from records import Judgment, Store
    from trainer.ppo.rewards import judge_reward, scored

    engine = ScriptedEngine(lambda request: "Score: 4" if "quokka" in request.messages[-1]["content"] else "nothing")
    judge = open_judge(engine, JudgeOptions(read="text", samples=1), 0)
    with Store(tmp_path / "judgments.jsonl", Judgment) as store:
        rewards = judge_reward(judge, store)
        first = scored(rewards, ["ask", "ask", "ask"], ["quokka", "two", "quokka"])
        assert first == [4.0, None, 4.0]
        assert len(engine.asked) == 2
        assert scored(rewards, ["ask", "ask"], ["two", "quokka"]) == [None, 4.0] and len(engine.asked) == 2
