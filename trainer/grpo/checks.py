"""The checks of the chosen rewards, before a model is loaded."""

from dataclasses import fields

from console.errors import InputError
from console.progress import say
from engines.options import check_engine
from judges.options import check_reading
from judges.rubrics.checked import checked_rubric
from judges.tools.options import check_options
from trainer.grpo.reward_options import JudgeEngineOptions, RewardOptions, RewardWeights
from trainer.ppo.rewards import check_beside_training, check_reward_folder, reward_function


def check_rewards(options: RewardOptions) -> None:
    """Raise InputError or EngineError if the rewards cannot be used, before a model is loaded."""
    weighted = options.weighted()
    if not weighted and not options.caps:
        raise InputError(
            "name a reward: --judge MODEL, --reward-model FOLDER, --reward module:function, or "
            "--tool constraints --verify share"
        )
    if options.evidence.enabled:
        check_options(options.evidence)
    if options.caps and not options.scores:
        raise InputError(
            f"--verify {options.evidence.verify} changes a judge's score: give --judge MODEL and --rubric, or use "
            "--verify share or strict, which need none"
        )
    if options.tournament is not None and options.judge is None:
        raise InputError("--tournament needs --judge MODEL, which compares the answers")
    _check_judge(options)
    if options.reward_model is not None:
        if not options.reward_model.is_dir():
            raise InputError(f"--reward-model {options.reward_model}: no such folder")
        check_reward_folder(options.reward_model, options.reward_engine)
    if options.reward is not None:
        reward_function(options.reward)
    for field_ in fields(RewardWeights):
        if field_.name not in weighted and getattr(options.weights, field_.name) != field_.default:
            say(f"--weights.{field_.name.replace('_', '-')} has no effect: there is no such reward")


def _check_judge(options: RewardOptions) -> None:
    if not options.needs_model:
        if options.rubric is not None or options.judge_engine != JudgeEngineOptions():
            say("--rubric and --judge-engine.* have no effect without --judge")
        return
    if options.judge is None:
        raise InputError("--constraints ask needs --judge MODEL, which names the constraints of a prompt")
    check_beside_training(options.engine)
    check_engine(options.engine)
    for flag, name, kind, wanted in (
        ("--rubric", options.rubric if options.scores else None, "score", "scores one answer"),
        ("--tournament", options.tournament, "pair", "compares two"),
    ):
        if name is None and not (kind == "score" and options.scores):
            continue
        judged = options.judged_by(name)
        if checked_rubric(judged).kind != kind:
            raise InputError(f"{flag} {judged.rubric}: use one that {wanted}; python -m judges.rubrics lists them")
        check_reading(options.engine, judged)
