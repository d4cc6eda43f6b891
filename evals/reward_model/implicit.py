"""A policy as a judge: its implicit reward, by which DPO trained it (Rafailov et al., arXiv 2305.18290, equation 5).

    reward(x, y) = beta * (log p(y | x) - log p_reference(y | x))

The sums are over the answer's tokens and the token that ends its turn, as in RewardBench's code for DPO models.
Without a reference model the reward is beta * log p(y | x), which RewardBench calls reference-free.
"""

import filecmp
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from console.errors import InputError
from engines.adapters import CONFIG, SETTINGS, is_adapter, weights_folder
from engines.chat.turn_end import turn_end
from engines.files import files_of
from engines.likelihood import TokenLogprobs, answer_tokens, token_logprobs
from engines.local.waiting import LocalEngine, local_engine
from engines.models import check_model, resolve_model
from engines.options import EngineOptions, check_engine, is_served, pinned
from engines.reward_model import EMPTY, Reward
from evals.reward_model.options import NO_REFERENCE, ImplicitOptions
from judges.judging.reward_model import reward_folder
from records.keys import content_key
from records.rows import Message

PREFIX = "dpo:"
SAME = "these are the same model, so that each reward would be 0: name the model that DPO started from"
OTHER_TOKENS = (
    "the policy and the reference model have different tokens, so that their log-probabilities do not compare"
)


@dataclass(frozen=True)
class ImplicitRewardModel:
    """A policy and its reference model, which are loaded once an answer is scored."""

    name: str
    policy: LocalEngine
    reference: LocalEngine | None
    beta: float
    per_token: bool

    @property
    def digest(self) -> str:
        """Identify everything that changes a reward."""
        of = None if self.reference is None else self.reference.digest
        return content_key("implicit", self.policy.digest, of, self.beta, self.per_token)

    def rewards(self, prompts: Sequence[str | list[Message]], responses: Sequence[str]) -> list[Reward]:
        """Return the reward of each response to its prompt, or why it has none: it is empty, or too long."""
        refused: dict[int, Reward] = {}
        tokens: dict[int, tuple[list[int], int]] = {}
        for index, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            if not response.strip():
                refused[index] = Reward(None, EMPTY)
                continue
            try:
                tokens[index] = self._tokens(prompt, response)
            except InputError as error:  # of one conversation, which the template refuses
                refused[index] = Reward(None, str(error))
        answers = list(tokens.values())
        of_policy = _logprobs(self.policy, answers)
        of_reference = _logprobs(self._reference(), answers) if self.reference else [None] * len(answers)
        rewards = [self._reward(*pair) for pair in zip(of_policy, of_reference, strict=True)]
        values = [reward.value for reward in rewards if reward.error is None]
        # of one short answer, two models of a half precision may have the same log-probability
        if self.reference and len(values) > 1 and not any(values):
            raise InputError(f"--judge {PREFIX}{self.policy.name} --reference {self.reference.name}: {SAME}")
        found = refused | dict(zip(tokens, rewards, strict=True))
        return [found[index] for index in range(len(responses))]

    def _tokens(self, prompt: str | list[Message], response: str) -> tuple[list[int], int]:
        engine = self.policy.loaded
        tokens, n_answer = answer_tokens(engine, prompt, response)
        end = turn_end(engine.tokenizer)
        return (tokens, n_answer) if end is None else ([*tokens, end], n_answer + 1)

    def _reference(self) -> LocalEngine:
        """Return the reference model. Raises InputError if it has other tokens than the policy."""
        assert self.reference is not None
        if self.reference.tokenizer.get_vocab() != self.policy.tokenizer.get_vocab():
            raise InputError(f"{self.policy.name} against {self.reference.name}: {OTHER_TOKENS}")
        return self.reference

    def _reward(self, of_policy: TokenLogprobs, of_reference: TokenLogprobs | None) -> Reward:
        if of_policy.error or (of_reference is not None and of_reference.error):
            reason = of_policy.error or (of_reference.error if of_reference else None)
            return Reward(
                None, f"{reason}, which {'the policy' if of_policy.error else 'the reference model'} cannot read"
            )
        total = math.fsum(of_policy.logprobs) - (math.fsum(of_reference.logprobs) if of_reference else 0.0)
        reward = self.beta * total / (len(of_policy.logprobs) if self.per_token else 1)
        return Reward(reward) if math.isfinite(reward) else Reward(None, "the reward is not a number")


def policy_of(options: EngineOptions) -> EngineOptions | None:
    """Return the policy whose implicit reward judges, or None if `options` name another judge."""
    if not options.model.startswith(PREFIX):
        return None
    return replace(options, model=options.model.removeprefix(PREFIX))


def gives_rewards(options: EngineOptions) -> bool:
    """Return whether `options` name a reward model or a policy with its implicit reward, and no judge with a rubric."""
    return policy_of(options) is not None or reward_folder(options) is not None


def with_run(options: EngineOptions) -> EngineOptions:
    """Return `options` with the run of iterN, which may be a policy's. Raises InputError if there is no run."""
    policy = policy_of(options)
    return pinned(options) if policy is None else replace(options, run=pinned(policy).run)


def check_implicit(policy: EngineOptions, implicit: ImplicitOptions) -> None:
    """Raise InputError if the policy or the reference model is missing or is no model in this process."""
    if not policy.model.strip():
        raise InputError(f"--judge {PREFIX} needs a model, as in {PREFIX}iter2")
    if implicit.reference is None:
        raise InputError(
            f"--judge {PREFIX}{policy.model}: name the model that DPO started from with --reference, or give "
            f"--reference {NO_REFERENCE} to score by the policy's own log-probability"
        )
    if is_served(policy) or policy.engine == "vllm":
        raise InputError(f"--judge {PREFIX}{policy.model}: implicit rewards go with --engine transformers")
    for name in (policy.model, implicit.reference):
        if name != NO_REFERENCE:
            check_engine(replace(policy, model=name))
    if _is_same(policy, implicit.reference):
        raise InputError(f"--judge {PREFIX}{policy.model} --reference {implicit.reference}: {SAME}")


def _is_same(policy: EngineOptions, reference: str) -> bool:
    """Return whether both names are of one model. Whether those of the hub are is not known if it cannot be reached."""
    if reference == NO_REFERENCE:
        return False
    first, second = (check_model(name, policy.run) for name in (policy.model, reference))
    return first is not None and second is not None and _is_copy(first, second)


def _is_copy(first: Path, second: Path) -> bool:
    """Return whether two folders are one, or have the same weights, which are read up to where they differ.

    The tokenizer and the template do not matter, because both models read the policy's tokens.
    """
    if first.samefile(second):
        return True
    files = [
        {path.name: path for path in files_of(folder, ("*.safetensors", CONFIG, SETTINGS))}
        for folder in (first, second)
    ]
    if files[0].keys() != files[1].keys() or not any(name.endswith(".safetensors") for name in files[0]):
        return False  # of a model of the hub, only the settings may be here
    if not all(filecmp.cmp(path, files[1][name], shallow=False) for name, path in files[0].items()):
        return False
    return not is_adapter(first) or _is_copy(weights_folder(first), weights_folder(second))


def open_implicit(policy: EngineOptions, implicit: ImplicitOptions) -> ImplicitRewardModel:
    """Return the policy's implicit reward, no model loaded. Raises InputError if a model is missing."""
    check_implicit(policy, implicit)
    reference = None if implicit.reference in (None, NO_REFERENCE) else _local(implicit.reference or "", policy)
    opened = _local(policy.model, policy)
    name = f"{PREFIX}{policy.model}{f' against {reference.name}' if reference else ''}"
    return ImplicitRewardModel(name, opened, reference, implicit.beta, implicit.per_token)


def _local(name: str, options: EngineOptions) -> LocalEngine:
    folder = resolve_model(name, options.run)
    return local_engine(folder, name, options.batch_size, options.chat_template_kwargs, options.dtype)


def _logprobs(engine: LocalEngine, answers: Sequence[tuple[list[int], int]]) -> list[TokenLogprobs]:
    found = {answer.index: answer for answer in token_logprobs(engine.loaded, answers)} if answers else {}
    return [found[index] for index in range(len(answers))]
