"""The three iterations of a run: the SFT model with its reward model, PPO on it, and both again on policy.

iter1  SFT. D = labelled pairs of its answers. r trained on D.              (RLP, arXiv 2403.19279, steps 0 to 2)
iter2  PPO from iter1 on the unlabelled prompts, rewarded by r.             (step 3)
iter3  r retrained with iter2's answers. PPO from iter1 again, rewarded by it.              (steps 4 and 5)
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

import msgspec

from console.errors import InputError, TrainingError
from console.flags import in_section
from console.table import Cell
from console.writing import make_folder
from engines.models import inference_dtype
from engines.options import EngineOptions
from judges.judging.reward_model import fingerprint_in
from records import Judgment, Pair, Prompt, Response, read_rows
from records.fields.messages import text_of_completion
from records.finish import cut_off
from records.runs import Run
from records.store import latest, write_atomic, write_rows
from trainer.ppo.options import PPOOptions
from trainer.ppo.rewards import reward_model
from trainer.ppo.trainer import PPOStep, log_of, train_ppo
from trainer.prompts.seeds.reading import ift_chats
from trainer.reward_model.accuracy import figures, measure
from trainer.reward_model.train import train_reward_model
from trainer.rlp.gather import (
    gather_on_policy,
    gather_preferences,
    load_reward_model,
    preference_counts,
    preferences_of,
    reward_engine,
    views_of,
)
from trainer.rlp.recipe import Config
from trainer.rlp.splits import RLPSplit
from trainer.runs.integrity import REWARD_MODEL, check_model, set_aside_broken_model
from trainer.runs.ledger import LedgerLine, adapter_of, split_hash
from trainer.sft.train import train_sft
from trainer.training.options import with_lora, with_template
from trainer.training.outcome import figures_of, report_of

REWARD_FIGURES = "reward.json"
"""The figures of an iteration's reward model on the held-out preferences."""
N_SHOWN = 32
"""Pairs that show whether a reward model has learnt anything at all."""


def supervised(run: Run, split: RLPSplit, config: Config) -> LedgerLine:
    """Make iter1: SFT, the preferences, and the first reward model."""
    started_s = time.monotonic()
    check_model(run, 0)
    chats = ift_chats(config.seeds.ift, config.seeds.codes, strict=config.strict)
    _claim_prompts(run, 1, split.preferences)
    set_aside_broken_model(run.model(1))
    if not run.model(1).exists():
        make_folder(run.iteration(1))
        options = with_template(with_lora(config.sft, config.lora), config.engine.chat_template_kwargs)
        with in_section("sft.", options):
            train_sft(run.model(0), run.model(1), chats, options, config.seed, "iter1 SFT")
    gather_preferences(run, split.preferences, config)
    learnt, held_out = preferences_of(run, config.preferences, config.seed)
    _train_reward_model(run, 1, learnt, config)
    _measure_reward_model(run, 1, learnt, held_out, config.engine, config.seed)
    responses = _responses(run, 1)
    return LedgerLine(
        id="iter1",
        parent="iter0",
        reference_model=None,
        dtype=inference_dtype(run.model(0), config.engine.dtype),
        prompt_split=split_hash(split.preferences) if split.preferences else None,
        judge=next((pair.judge for pair in learnt), None),
        counts={
            "ift": len(chats),
            "responses": len(responses),
            "cut_off": _n_cut_off(responses),
            **preference_counts(run, config.preferences, config.seed),
        },
        mean_score=None,
        mean_chars=_mean_chars(responses),
        n_tokens=_n_tokens(responses),
        training=_policy_training(run, 1) | _reward_training(run, 1),
        adapter=adapter_of(run.model(1)),
        seconds=time.monotonic() - started_s,
    )


def optimised(run: Run, split: RLPSplit, config: Config) -> LedgerLine:
    """Make iter2: PPO from iter1 with the first reward model."""
    started_s = time.monotonic()
    check_model(run, 1)
    _claim_prompts(run, 2, split.unlabelled)
    _train_policy(run, 2, split.unlabelled, config)
    return LedgerLine(
        id="iter2",
        parent="iter1",
        reference_model="iter1",
        dtype=inference_dtype(run.model(0), config.engine.dtype),
        prompt_split=split_hash(split.unlabelled),
        judge=fingerprint_in(run.iteration(1) / REWARD_MODEL, reward_engine(config.engine)),
        counts={"prompts": len(split.unlabelled), "unparsed": sum(step.n_null for step in _steps(run, 2))},
        mean_score=None,
        mean_chars=None,
        n_tokens=_n_drawn(run, 2, config.ppo),
        training=_policy_training(run, 2),
        adapter=adapter_of(run.model(2)),
        seconds=time.monotonic() - started_s,
    )


def on_policy(run: Run, split: RLPSplit, config: Config) -> LedgerLine:
    """Make iter3: the reward model retrained on policy, and PPO from iter1 again."""
    started_s = time.monotonic()
    for number in (1, 2):  # iter1 is trained again, and iter2 writes the answers
        check_model(run, number)
    _claim_prompts(run, 3, split.unlabelled)  # the same as iter2's: the answers are to be on policy
    counts = gather_on_policy(run, split.unlabelled, config)
    learnt, held_out = preferences_of(run, config.preferences, config.seed)
    _train_reward_model(run, 3, learnt, config)
    _measure_reward_model(run, 3, learnt, held_out, config.engine, config.seed)
    _train_policy(run, 3, split.unlabelled, config)
    responses, judgments = _responses(run, 3), latest(read_rows(run.iteration(3) / "judgments.jsonl", Judgment))
    scores = [judgment.score for judgment in judgments if judgment.score is not None]
    n_asked = len(split.unlabelled) * config.samples.n
    return LedgerLine(
        id="iter3",
        parent="iter1",
        reference_model="iter1",
        dtype=inference_dtype(run.model(0), config.engine.dtype),
        prompt_split=split_hash(split.unlabelled),
        judge=judgments[0].judge,
        counts={
            "prompts": len(split.unlabelled),
            "responses": len(responses),
            "failed": n_asked - len(responses),
            "cut_off": _n_cut_off(responses),
            "judged": len(scores),
            "unparsed": len(judgments) - len(scores),
            "preferences": len(learnt),
            **_on_policy_counts(counts),
        },
        mean_score=fmean(scores),
        mean_chars=_mean_chars(responses),
        n_tokens=_n_tokens(responses) + _n_drawn(run, 3, config.ppo),
        training=_policy_training(run, 3) | _reward_training(run, 3),
        adapter=adapter_of(run.model(3)),
        seconds=time.monotonic() - started_s,
    )


STAGES: dict[int, Callable[[Run, RLPSplit, Config], LedgerLine]] = {1: supervised, 2: optimised, 3: on_policy}


def reward_figures(run: Run, number: int) -> dict[str, Cell]:
    """Return the stored figures of the reward model of iteration `number` on held-out preferences."""
    path = run.iteration(number) / REWARD_FIGURES
    stored: dict[str, Cell] = msgspec.json.decode(path.read_bytes(), type=dict[str, Cell])
    return stored


def _measure_reward_model(
    run: Run, number: int, learnt: list[Pair], held_out: list[Pair], options: EngineOptions, seed: int
) -> None:
    """Write the figures of a reward model. Raises TrainingError if it tells no answers apart."""
    path = run.iteration(number) / REWARD_FIGURES
    if path.exists():
        return
    model = load_reward_model(run, number, options)
    shown = learnt[:N_SHOWN]
    chosen, rejected = (
        model.score([pair.prompt for pair in shown], [side(pair) for pair in shown]) for side in (_chosen, _rejected)
    )
    # A model that has learnt nothing ignores the text, and its rewards agree to the last bit.
    if chosen == rejected:
        raise TrainingError(
            f"the reward model of iter{number} gives both answers of every pair the same reward: it has learnt "
            "nothing. Try more preferences, a higher --reward.learning-rate, or a lower --reward.warmup-share"
        )
    results = figures(measure(model, held_out, seed)) if held_out else {}
    write_atomic(path, msgspec.json.format(msgspec.json.encode(results)))


def _chosen(pair: Pair) -> str:
    return text_of_completion(pair.chosen)


def _rejected(pair: Pair) -> str:
    return text_of_completion(pair.rejected)


def _claim_prompts(run: Run, number: int, prompts: Sequence[Prompt]) -> None:
    """Store the prompts of an iteration. Raises InputError if other ones were stored before."""
    path = run.iteration(number) / "prompts.jsonl"
    if not path.exists():
        write_rows(path, prompts)
    elif list(read_rows(path, Prompt)) != list(prompts):
        raise InputError(
            f"{path} does not match this run's prompts: the file of --seeds.prompts, --seeds.ift or "
            "--preferences.file was changed. Restore it, or start again with --fresh"
        )


def _train_reward_model(run: Run, number: int, preferences: list[Pair], config: Config) -> None:
    """Train r on D (iter1), or on D with the view pairs or with the synthetic pairs of iter3."""
    out = run.iteration(number) / REWARD_MODEL
    set_aside_broken_model(out)
    if out.exists():
        return
    pairs, views, bottleneck = preferences, None, None
    if number == 3 and config.rlp.method == "uml":
        views, bottleneck = views_of(run), config.bottleneck
    elif number == 3:
        pairs = [*preferences, *read_rows(run.iteration(3) / "pairs.jsonl", Pair)]
    parent = run.model(1)  # SFT and not the policy: the paper starts both again
    if number == 3 and config.rlp.start == "reward_model":
        parent = run.iteration(1) / REWARD_MODEL
    title = f"iter{number} reward model"
    options = with_template(with_lora(config.reward, config.lora), config.engine.chat_template_kwargs)
    with in_section("reward.", options):
        train_reward_model(parent, out, pairs, options, config.seed, title, samples=views, bottleneck=bottleneck)


def _train_policy(run: Run, number: int, prompts: Sequence[Prompt], config: Config) -> None:
    """Train a policy from iter1 on the prompts, with the first reward model (iter2) or the retrained one (iter3)."""
    out = run.model(number)
    set_aside_broken_model(out)
    if out.exists():
        return
    folder = run.iteration(1 if number == 2 else 3) / REWARD_MODEL
    # The share of a GPU is for the models that take turns with training, and this one stands beside it.
    size = config.ppo.generation_batch_size
    engine = replace(reward_engine(config.engine), batch_size=size, gpu_memory_utilization=None)
    source = reward_model(folder, engine)
    options = with_lora(config.ppo, config.lora)
    with in_section("ppo.", options):
        train_ppo(run.model(1), out, prompts, source, options, config.seed, f"iter{number} PPO")


def _on_policy_counts(counts: dict[str, int]) -> dict[str, int]:
    """Return the counts of view pairs or synthetic pairs under the ledger's names."""
    names = {"pair": "synthetic_pairs", "failed": "undecided"}  # in a ledger, `failed` counts answers
    return {names.get(name, name.replace(" ", "_")): n for name, n in counts.items()}


def _policy_training(run: Run, number: int) -> dict[str, float]:
    return figures_of(report_of(run.model(number)))


def _reward_training(run: Run, number: int) -> dict[str, float]:
    training = figures_of(report_of(run.iteration(number) / REWARD_MODEL))
    if isinstance(value := reward_figures(run, number).get("accuracy"), int | float):
        training["held_out_accuracy"] = value
    return {f"{REWARD_MODEL}/{name}": value for name, value in training.items()}


def _responses(run: Run, number: int) -> list[Response]:
    path = run.iteration(number) / "responses.jsonl"
    return latest(read_rows(path, Response)) if path.exists() else []


def _n_cut_off(responses: Sequence[Response]) -> int:
    return sum(cut_off(response.finish_reason) is not None for response in responses)


def _mean_chars(responses: Sequence[Response]) -> float | None:
    return fmean(len(response.response) for response in responses) if responses else None


def _n_tokens(responses: Sequence[Response]) -> int:
    return sum(response.n_tokens or 0 for response in responses)


def _n_drawn(run: Run, number: int, options: PPOOptions) -> int:
    """Return the tokens of the answers that PPO sampled and trained on."""
    size = options.rollout_batch_size
    # the mean length of a step's answers, times those that were trained on
    return sum(round((step.length or 0.0) * (size - step.n_null)) for step in _steps(run, number))


def _steps(run: Run, number: int) -> list[PPOStep]:
    return latest(read_rows(log_of(run.model(number)), PPOStep))
