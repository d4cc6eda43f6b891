"""The sources of rewards: a reward model, a Python function, or a judge."""

import importlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from console.errors import EngineError, InputError, JudgeloopError
from console.progress import say
from engines.local.vllm.installed import check_installed, has_gpu
from engines.local.waiting import check_template
from engines.options import EngineOptions, check_engine
from engines.protocol import Engine
from engines.reward_model import check_reward_model
from judges.judging.judge import Judge, open_judge
from judges.judging.reward_model import open_reward_model
from judges.library import response_of
from judges.options import JudgeOptions, check_reading
from judges.rubrics.checked import checked_rubric
from judges.tools.agent import Agent
from judges.tools.constraints.given import constraints_by_prompt
from judges.tools.evidence import calls_for_constraints, judge_checked, was_checked, with_tools
from judges.tools.options import EvidenceOptions, check_options, say_unused
from records import Judgment, Message, Prompt, Store, messages_of
from records.keys import content_key
from trainer.ppo.options import RewardChoice, RewardEngineOptions, check_alone
from trainer.training.processes import n_processes

JUDGE = "judge"

Reward = Callable[[list[str | list[Message]], list[str]], Sequence[float | None]]
"""Takes prompts and the texts of their answers, and returns a reward or None per answer."""


@dataclass(frozen=True)
class RewardSource:
    """A reward function with the name and digest that identify it."""

    name: str
    reward: Reward
    digest: str = ""
    """Identifies everything that the rewards depend on. A training with another digest is another training."""
    folder: Path | None = None
    """The reward model's folder, whose body initialises the value model."""
    min_coverage: float = 0.0
    """The least share of answers that need a reward: a training stops if its judge gives fewer."""


def scored(source: RewardSource, prompts: list[str | list[Message]], texts: list[str]) -> list[float | None]:
    """Return the rewards, None for those that are not finite numbers. Raises EngineError if the source fails."""
    if not texts:
        return []
    try:
        rewards = [None if reward is None else float(reward) for reward in source.reward(prompts, texts)]
    except JudgeloopError:
        raise
    except Exception as error:  # the function is the user's and may raise anything
        raise EngineError(f"{source.name}: the reward failed: {type(error).__name__}: {error}") from error
    if len(rewards) != len(texts):
        raise EngineError(f"{source.name}: {len(texts)} answers were given and {len(rewards)} rewards came back")
    return [reward if reward is not None and math.isfinite(reward) else None for reward in rewards]


def reward_model(folder: Path, engine: EngineOptions) -> RewardSource:
    """Return the reward model in `folder` as a source. It tokenises the texts again with its own tokenizer.

    It is loaded at once, beside the model in training. Raises InputError or EngineError if that does not work.
    """
    model = open_reward_model(folder, str(folder), engine, beside_training=True)
    return RewardSource(str(folder), model.score, model.digest, folder)


def reward_function(name: str) -> RewardSource:
    """Return the function `module:function` as a source. Raises InputError if there is none."""
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name, None)
    except ImportError as error:
        raise InputError(f"--reward {name}: the module cannot be imported: {error}") from None
    if not callable(function):
        raise InputError(f"--reward {name}: the module {module_name} has no function '{function_name}'")
    return RewardSource(name, function, name)


def judge_reward(
    judge: Judge, store: Store[Judgment], agent: Agent | None = None, asked: Sequence[Prompt] = ()
) -> RewardSource:
    """Return the scores of `judge` as a source. Judgments are kept in `store`, so that no answer is judged twice.

    `agent` gathers the evidence on each answer, for which `asked` are the prompts with their constraints. Raises
    InputError if it cannot do without those, and they cannot be read.
    """
    forms = constraints_by_prompt(asked, strict=agent is not None and agent.options.checks_rows)

    def reward(prompts: list[str | list[Message]], texts: list[str]) -> list[float | None]:
        keys = [content_key(messages_of(prompt)) for prompt in prompts]
        rows = zip(prompts, texts, keys, strict=True)
        responses = [response_of(prompt, text, None, forms.get(key)) for prompt, text, key in rows]
        judgments = judge_checked(judge, agent, responses, store.ids) if agent else judge.judge(responses, store.ids)
        for judgment in judgments:
            store.append(judgment)
        ids = [judge.judgment_id(response) for response in responses]
        scores = {judgment.id: judgment.score for judgment in store.chosen(dict.fromkeys(ids))}
        return [scores[judgment_id] for judgment_id in ids]

    digest = content_key(judge.fingerprint, forms) if agent else judge.fingerprint
    return RewardSource(f"judge {judge.rubric.name}", reward, digest)


@contextmanager
def open_judge_reward(
    engine: Engine, options: JudgeOptions, evidence: EvidenceOptions, path: Path, asked: Sequence[Prompt], seed: int
) -> Iterator[RewardSource]:
    """Open a judge with its tools as a source of rewards, whose judgments are kept in the file `path`."""
    judge, agent = with_tools(open_judge(engine, options, seed), evidence)
    with Store(path, Judgment, keep=was_checked) as store:
        yield replace(judge_reward(judge, store, agent, asked), min_coverage=options.min_coverage)


def calls_for_reward(choice: RewardChoice, asked: Sequence[Prompt]) -> dict[str, int]:
    """Return for a plan the most calls that name the constraints of the prompts, if a model names them."""
    if choice.name != JUDGE:
        return {}
    return calls_for_constraints(choice.evidence, (messages_of(prompt.prompt, prompt.system) for prompt in asked))


def check_reward(choice: RewardChoice) -> None:
    """Raise InputError if the reward cannot be used, before a model is loaded."""
    _say_unused_engine(choice)
    if choice.name == JUDGE:
        check_beside_training(choice.engine)
        if choice.evidence.enabled:
            check_options(choice.evidence)
            say_unused(choice.evidence, choice.engine, choice.judge)
        if choice.evidence.needs_model:
            check_engine(choice.engine)
        checked_rubric(choice.judge)
        check_reading(choice.engine, choice.judge)
    elif Path(choice.name).is_dir():
        check_reward_folder(Path(choice.name), choice.reward_engine)
    elif ":" in choice.name:
        reward_function(choice.name)
    else:
        raise InputError(f"--reward {choice.name}: not a folder, not module:function, and not {JUDGE}")


def check_constraints(evidence: EvidenceOptions, prompts: Sequence[Prompt]) -> None:
    """Raise InputError if constraints alone give the reward, and no prompt has any. Say how many have none."""
    if not evidence.checks_rows or evidence.asks_rubric:
        return
    n_without = sum(not prompt.constraints for prompt in prompts)
    if prompts and n_without == len(prompts):
        raise InputError(
            "none of the prompts has constraints, so that no answer gets a reward: give rows with "
            "'instruction_id_list' and 'kwargs', or 'constraints', or let a model name them: --constraints ask"
        )
    if n_without:
        say(f"{n_without} of {len(prompts)} prompts have no constraints, and an answer to them gets no reward")


def check_reward_folder(folder: Path, options: RewardEngineOptions) -> None:
    """Raise InputError if a folder has no reward model that can be used beside a training, EngineError for no vLLM."""
    check_reward_model(folder)
    check_template(folder, str(folder))
    if options.engine == "vllm":
        check_alone(
            "--reward-engine.engine",
            "and transformers computes the rewards of the reward model",
            n_processes(),
        )
        check_installed()


def check_beside_training(judge: EngineOptions, flags: str = "--judge-engine") -> None:
    """Raise InputError if a judge in vLLM would leave no room for the model in training. `flags` begin its flags."""
    if judge.engine != "vllm":
        return
    check_alone(f"{flags}.engine", f"or name the judge's server ({flags}.base-url)", n_processes())
    if has_gpu() and judge.gpu_memory_utilization is None:
        raise InputError(
            f"{flags}.engine vllm would take all of the GPU that is free, and the model in training needs some: "
            f"give {flags}.gpu-memory-utilization, or leave out the engine, or name a server ({flags}.base-url)"
        )


def _say_unused_engine(choice: RewardChoice) -> None:
    """Name the flags of an engine that this reward does not have."""
    of_model, of_judge = Path(choice.name).is_dir(), choice.name == JUDGE
    if not of_model and choice.reward_engine != RewardEngineOptions():
        say(f"--reward-engine.* has no effect with --reward {choice.name}: it is for --reward FOLDER, a reward model")
    if not of_judge and choice.engine != EngineOptions():
        say(f"--judge-engine.* has no effect with --reward {choice.name}: it is for --reward judge")
