"""Measures an arm by the truth: the quality of its answers, and the accuracy of its reward model."""

import gc
from collections.abc import Sequence
from statistics import fmean, pstdev
from typing import Any

from engines.local.transformers_engine import TransformersEngine
from engines.reward_model import RewardModel
from experiments.known_truth.measure import OrderAccuracy, accuracy
from experiments.rlp_truth.arms import ARMS, PPO, Arm, Size
from experiments.rlp_truth.circle import HELD_OUT, answers_of, run_arm
from experiments.rlp_truth.labeller import truly_ordered, worth
from experiments.rlp_truth.recipe import recipe
from experiments.world.data import truth_of
from experiments.world.sizes import Seeds
from experiments.world.world import TOP
from judges.best_of.best import best_of
from judges.judging.reward_model import fingerprint, rewards_into
from records import Judgment, Pair, Response, Store, answer_key, read_rows, text_of
from records.runs import Run
from trainer.monitors.kl import AnswerLikelihood, kl_of, likelihoods_into
from trainer.rlp.gather import preferences_of
from trainer.runs.integrity import REWARD_MODEL


def measure(arm: Arm, run: Run, size: Size, seeds: Seeds, seed: int) -> dict[str, Any]:
    """Return the figures of an arm by their names in a result."""
    sft = answers_of(run.model(1), seeds, HELD_OUT, size.n, size, seed)
    answers = answers_of(run.model(arm.iteration), seeds, HELD_OUT, size.n, size, seed)
    first = _load(run, 1)
    base = _rewards(first, sft, seeds)
    if arm.best:
        answers = _best(sft, base, seed)
    known = [judgment.score for judgment in base if judgment.score is not None]
    given = [judgment.score for judgment in _rewards(first, answers, seeds) if judgment.score is not None]
    return {
        "n_answers": len(answers),
        "quality": fmean(map(truth_of, answers)),
        "perfect": fmean(truth_of(answer) == TOP for answer in answers),
        "symbols": fmean(len(answer.response.split()) for answer in answers),
        "worth": fmean(worth(text_of(answer.prompt), answer.response, size.length_weight) for answer in answers),
        "reward": (fmean(given) - fmean(known)) / pstdev(known),
        "kl": None if arm.iteration == 1 else _kl(run, arm.iteration, answers, seeds),
        **_of_reward_model(arm, run, sft, size, seeds, seed),
    }


def _of_reward_model(
    arm: Arm, run: Run, sft: Sequence[Response], size: Size, seeds: Seeds, seed: int
) -> dict[str, Any]:
    """Return the accuracy and training data of the arm's reward model: the first one for SFT and best-of-n."""
    number = 3 if arm.iteration == 3 else 1
    ppo = run_arm(ARMS[PPO], PPO, size, seeds, seed)
    # PPO's and not the arm's own, so that all reward models order the same answers
    on_policy = answers_of(ppo.model(2), seeds, HELD_OUT, size.n, size, seed)
    model = _load(run, number)
    accuracies: dict[str, OrderAccuracy] = {
        "on_sft": accuracy(_rewards(model, sft, seeds)),
        "on_ppo": accuracy(_rewards(model, on_policy, seeds)),
    }
    learnt, _ = preferences_of(run, recipe(arm, size, seeds, seed).preferences, seed)
    synthetic = list(read_rows(run.iteration(3) / "pairs.jsonl", Pair)) if arm.spg else []
    _, right = truly_ordered(synthetic)
    counts = {"n_learnt": len(learnt) + len(synthetic), "n_synthetic": len(synthetic), "right": right}
    return accuracies | counts


def _load(run: Run, number: int) -> RewardModel:
    return RewardModel.load(run.iteration(number) / REWARD_MODEL, f"iter{number}", 128)


def _rewards(model: RewardModel, answers: Sequence[Response], seeds: Seeds) -> list[Judgment]:
    with Store(seeds.folder / "measured" / f"rewards-{fingerprint(model)}.jsonl", Judgment) as store:
        return rewards_into(store, model, answers, "rewards")


def _best(answers: Sequence[Response], judgments: Sequence[Judgment], seed: int) -> list[Response]:
    scores = {answer_key(judgment): judgment.score for judgment in judgments}
    return list(best_of(answers, scores, seed).responses)


def _kl(run: Run, number: int, answers: Sequence[Response], seeds: Seeds) -> float | None:
    """Return KL(policy || SFT) in nats per answer, estimated on the policy's answers."""
    likelihoods = []
    for iteration in (number, 1):  # one model in memory at a time
        engine = TransformersEngine.load(run.model(iteration), "model", 128)
        with Store(seeds.folder / "measured" / "likelihoods.jsonl", AnswerLikelihood) as store:
            likelihoods.append(likelihoods_into(store, engine, answers, "likelihoods"))
        del engine
        gc.collect()
    kl = kl_of(*likelihoods)
    return None if kl is None else kl.per_token * kl.n_tokens / kl.n_answers  # per answer
