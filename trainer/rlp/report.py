"""The output of a run: its plan before the run, its tables after it."""

import math
from pathlib import Path

import msgspec

from console.output import counted, tell, tell_json
from console.table import Cell, print_table
from judges.judging.win_rate import say_flips
from judges.options import JudgeOptions
from judges.rubrics.checked import checked_rubric
from records.runs import Run
from trainer.ppo.options import PPOOptions, n_steps_of
from trainer.rlp.measure import Evaluation, PolicyFigures, RewardModelFigures
from trainer.rlp.recipe import AnnotatorOptions, Config
from trainer.rlp.splits import RLPSplit
from trainer.rlp.synthetic_options import SyntheticOptions
from trainer.runs.integrity import REWARD_MODEL
from trainer.runs.ledger import LedgerLine
from trainer.training.examples.held_out import n_held_out
from trainer.training.options import ValidatedOptions


def print_report(run: Run, config: Config, lines: list[LedgerLine], evaluation: Evaluation) -> None:
    """Print a row for each policy and for each reward model; with --json all figures."""
    say_flips({f"{policy.id} against iter1": policy.win_rate for policy in evaluation.policies})
    if config.json:
        tell_json(msgspec.json.encode({"ledger": lines, "evaluation": evaluation}))
        return
    names = {"iter1": "SFT", "iter2": "PPO", "iter3": method_name(config)}
    print_table([_policy_row(policy, names[policy.id]) for policy in evaluation.policies])
    tell()
    print_table([_reward_row(model) for model in evaluation.reward_models])
    judged = (
        f"; the annotator is {_annotator(config.annotator)} ({evaluation.annotator})" if evaluation.annotator else ""
    )
    tell(
        "",
        f"{config.eval.prompts} held-out prompts{judged}.",
        "r1 and r3: the reward models of iter1 and iter3.",
        "KL: nats per answer, with its standard error.",
        "Win rate: both orders, 95% interval; flipped: the orders named different winners.",
        "Accuracy of a reward model, with its 95% interval: on held-out preferences, and",
        "on pairs of each policy's own samples of which the annotator prefers one. The number",
        "of pairs is in brackets.",
    )
    tell("", f"{run.ledger}  {run.folder / 'eval'}/  {run.iteration(3)}/")


def method_name(config: Config) -> str:
    """Return the name of iter3, after the paper's tables 2, 4 and 5."""
    if config.rlp.method == "uml":
        return "RLP-UML" if config.bottleneck.objective == "mib" else f"UML, {config.bottleneck.objective}"
    return {"spg": "RLP-SPG", "select_all": "Select-All", "reward": "Reward", "rlaif": "RLAIF"}[config.synthetic.method]


def print_plan(run: Run, split: RLPSplit, n_chats: int, config: Config, *, fresh: bool) -> None:
    """Print the work of each stage that is left. Numbers that are not known yet are upper bounds.

    With `fresh` nothing of what is there counts.
    """
    rows = _plan(split, n_chats, config)
    left = rows if fresh else [row for row in rows if not _made_by(str(row["stage"]), run).exists()]
    method = f"{method_name(config)} on {config.engine.model} in {run.folder}"
    if not config.json:
        rest = f", the {counted(len(left), 'stages')} of {len(rows)} that are left" if len(left) < len(rows) else ""
        tell(*([f"would run {method}{rest}", ""] if left else [f"nothing is left to do of {method}"]))
    if left or config.json:
        print_table(left, as_json=config.json)


def _made_by(stage: str, run: Run) -> Path:
    """Return what is there once a stage is done: the evaluation, or the model that the stage makes or goes into."""
    if stage.startswith("held-out"):
        return run.folder / "eval" / "evaluation.json"
    number = int(stage.removeprefix("iter")[0])
    return run.model(number) if stage.endswith(("SFT", "PPO")) else run.iteration(number) / REWARD_MODEL


def _plan(split: RLPSplit, n_chats: int, config: Config) -> list[dict[str, Cell]]:
    n_labelled, n_prompts, n_held_out = len(split.preferences), len(split.unlabelled), len(split.held_out)
    n_samples, n_questions = n_prompts * config.samples.n, 2 * _n_questions(config.annotator.judge)  # 2: both orders
    if config.annotator.label == "constraints":
        n_questions = 0
    rows = [_row("iter1 SFT", steps=_n_steps(n_chats, config.sft))]
    if config.preferences.file is None:
        rows += [_row("iter1 answers", 2 * n_labelled), _row("iter1 annotator", calls=n_labelled * n_questions)]
        n_learnt = round(n_labelled * (1 - config.preferences.held_out_share))
        rows.append(_row(f"iter1 reward model, at most {n_learnt} pairs", steps=_n_steps(n_learnt, config.reward)))
    else:
        n_learnt = 0
        rows.append(_row(f"iter1 reward model on {config.preferences.file}"))
    rows += [_ppo("iter2 PPO", n_prompts, config.ppo), _row("iter3 samples", n_samples)]
    if config.rlp.method == "uml":
        rows.append(_row(f"iter3 view pairs, at most {n_prompts * (config.samples.n // 2)}"))
    else:
        rows.append(
            _row(
                f"iter3 synthetic pairs, at most {n_prompts}",
                calls=_synthetic_calls(n_prompts, config.samples.n, config.synthetic),
            )
        )
        n_learnt += n_prompts  # one synthetic pair of each prompt
    if config.preferences.file is None:
        rows.append(_row(f"iter3 reward model, at most {n_learnt} pairs", steps=_n_steps(n_learnt, config.reward)))
    else:
        rows.append(_row("iter3 reward model"))
    # Three policies, each with one answer and two samples.
    rows += [_ppo("iter3 PPO", n_prompts, config.ppo), _row("held-out answers and samples", 9 * n_held_out)]
    if config.eval.judged:
        # Two policies are compared with the SFT model, and the two samples of all three with each other.
        rows.append(_row("held-out annotator", calls=5 * n_held_out * n_questions))
    return rows


def _annotator(options: AnnotatorOptions) -> str:
    return "a program that checks constraints" if options.label == "constraints" else options.engine.model


def _row(stage: str, answers: int = 0, calls: int = 0, steps: int | None = 0) -> dict[str, Cell]:
    return {"stage": stage, "answers": answers, "judge calls": calls, "optimiser steps": steps}


def _ppo(stage: str, n_prompts: int, options: PPOOptions) -> dict[str, Cell]:
    n_steps = n_steps_of(options, n_prompts)
    updates = n_steps * options.ppo_epochs * (options.rollout_batch_size // options.step_batch_size)
    return _row(stage, n_steps * options.rollout_batch_size, steps=updates)


def _n_steps(n_prompts: int, options: ValidatedOptions) -> int:
    """Return the steps of a training on an example of each prompt."""
    n_learnt = n_prompts - n_held_out(n_prompts, options.validation_share)
    return math.ceil(n_learnt / options.batch_size) * options.epochs


def _n_questions(options: JudgeOptions) -> int:
    if options.read == "decisions":
        return 1
    return len(checked_rubric(options).labels) if options.read == "logprobs" else options.samples


def _synthetic_calls(n_prompts: int, n_samples: int, options: SyntheticOptions) -> int:
    if options.method == "rlaif":
        return 2 * n_prompts * _n_questions(options.judge)
    if options.method in ("spg", "select_all") and options.relation.equivalence == "judge":
        return n_prompts * n_samples * (n_samples - 1)  # every two answers, in both orders
    return 0


def _policy_row(policy: PolicyFigures, name: str) -> dict[str, Cell]:
    return {
        "policy": f"{name} ({policy.id})",
        "answers": policy.n_answers,
        "reward by r1": _reward(policy.rewards["iter1"]),
        "by r3": _reward(policy.rewards["iter3"]),
        "unscored": sum(policy.n_unscored.values()),
        "KL to SFT": _kl(policy),
        "chars": policy.mean_chars,
        "win rate against SFT, %": "-" if policy.win_rate is None else str(policy.win_rate),
        "flipped": None if policy.win_rate is None else policy.win_rate.n_flipped,
        "flipped, %": None if policy.win_rate is None else policy.win_rate.flipped_percent,
        "no verdict": None if policy.win_rate is None else policy.win_rate.n_unscored,
    }


def _reward(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"  # the scale is the reward model's own


def _kl(policy: PolicyFigures) -> str:
    if policy.kl is None:
        return "-"
    per_answer = policy.kl.n_tokens / policy.kl.n_answers
    error = "" if policy.kl.standard_error is None else f" ± {policy.kl.standard_error * per_answer:.2f}"
    return f"{policy.kl.per_token * per_answer:.2f}{error}"


def _reward_row(model: RewardModelFigures) -> dict[str, Cell]:
    name = {"iter1": "r1 (iter1)", "iter3": "r3 (iter3)"}[model.id]
    cells: dict[str, Cell] = {"reward model": name, "held-out preferences": _accuracy(model.held_out)}
    for policy in ("iter1", "iter2", "iter3"):
        cells[f"samples of {policy}"] = _accuracy(model.on_policy.get(policy, {}))
    return cells


def _accuracy(figures: dict[str, Cell]) -> str:
    value, low, high = (figures.get(name) for name in ("accuracy", "from", "to"))
    if value is None:
        return "-"
    interval = "" if low is None else f" [{low:.2f}, {high:.2f}]"
    return f"{value:.2f}{interval} ({figures['held-out pairs']})"
