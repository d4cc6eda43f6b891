"""A judge in TRL's trainers: as a reward function, and as the pairwise judge that TRL used to have.

from judges import Judge
from judges.trl import reward_func

trainer = GRPOTrainer(model, reward_funcs=reward_func(Judge.open("gpt-5-mini", rubric="additive")), ...)

With `served_reward_func("http://127.0.0.1:8300")` the judge is one that python -m judges.serve serves.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from statistics import fmean
from typing import Any, Literal, TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import msgspec

from console.address import checked_header, checked_server, shown
from console.errors import EngineError, InputError, JudgeError
from judges.library import Judge, Prompts, listed
from records.fields.constraints import GROUND_TRUTH, IDS, OWN, SETTINGS, constraints_in, constraints_or_error
from records.fields.messages import Completion, text_of_completion
from records.keys import content_key
from records.rows import Constraint

COLUMNS = (OWN, IDS, SETTINGS, GROUND_TRUTH)
ROWS = 512
"""Completions in one request to a served judge."""
Rewards = list[float | None]
Missing = Literal["none", "mean", "raise"]
RewardFunction = Callable[..., Rewards]
AsyncRewardFunction = Callable[..., Coroutine[Any, Any, Rewards]]
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def reward_func(judge: Judge, missing: Missing = "none") -> RewardFunction:
    """Return a reward function for TRL's trainers: the judge's score of each completion.

    It takes TRL's arguments: prompts and completions as texts or chats, and data set columns by name. A column
    `reference` is shown to a rubric that asks for one. `constraints`, or IFEval's `instruction_id_list` and `kwargs`,
    are for a judge with tools, as of `Judge.open(tool="constraints", verify="share")`. A completion without a verdict
    is None, which GRPO and RLOO leave out. Online DPO takes None for 0, which would make a failure a preference. Use
    `missing="mean"` with it, the mean of the same prompt's other completions (JudgeError if none of them has a
    verdict), or `"raise"`, which raises JudgeError. If the judge needs constraints and there is no such column, or one
    of another shape, it raises InputError.
    """

    def reward(prompts: Prompts, completions: Sequence[Completion], **columns: Any) -> Rewards:
        answers = [text_of_completion(completion) for completion in listed(completions, "completions")]
        rows = judge.score(prompts, answers, columns.get("reference"), _constraints(judge, columns, len(answers)))
        return _filled(
            [judgment.score for judgment in rows],
            [judgment.prompt_id for judgment in rows],
            [r.error for r in rows],
            missing,
        )

    return _named(reward, judge)


def async_reward_func(judge: Judge, missing: Missing = "none") -> AsyncRewardFunction:
    """Return the same as `reward_func` as a coroutine function, which GRPO runs beside its other reward functions."""
    plain = reward_func(judge, missing)

    async def reward(prompts: Prompts, completions: Sequence[Completion], **columns: Any) -> Rewards:
        return await asyncio.to_thread(plain, prompts, completions, **columns)

    return _named(reward, judge)


def served_reward_func(
    url: str, key_env: str | None = None, missing: Missing = "none", timeout_s: float = 3600.0
) -> RewardFunction:
    """Return a reward function that asks a judge of `python -m judges.serve`, so that the trainer holds no judge.

    It takes what that of `reward_func` takes, and `missing` means the same. `key_env` is the variable with the
    server's key. Raises EngineError if the server cannot be reached, or answers with an error.
    """
    server = checked_server(url).rstrip("/")

    def reward(prompts: Prompts, completions: Sequence[Completion], **columns: Any) -> Rewards:
        answers = [text_of_completion(completion) for completion in listed(completions, "completions")]
        asked = listed(prompts, "prompts")
        given = {name: columns[name] for name in (*COLUMNS, "reference") if columns.get(name) is not None}
        more = _of_length({"prompts": asked, **given}, len(answers))
        rows = [
            {"prompt": asked[place], "response": answer, **{name: more[name][place] for name in given}}
            for place, answer in enumerate(answers)
        ]
        scores: Rewards = []
        errors: dict[int, str | None] = {}
        for start in range(0, len(rows), ROWS):
            sent = rows[start : start + ROWS]
            reply = _post(f"{server}/reward", {"rows": sent}, key_env, timeout_s)
            if len(reply.rewards) != len(sent):
                raise EngineError(f"{shown(server)}: {len(reply.rewards)} rewards for {len(sent)} completions")
            scores += reply.rewards
            errors |= {start + int(place): error for place, error in reply.errors.items()}
        ids = [content_key("prompt", prompt) for prompt in asked]
        return _filled(scores, ids, [errors.get(place) for place in range(len(rows))], missing)

    reward.__name__ = "judge_served"
    return reward


class _Rewards(msgspec.Struct):
    """The reply of a served judge."""

    rewards: Rewards
    errors: dict[str, str | None]


def _post(url: str, body: Any, key_env: str | None, timeout_s: float) -> _Rewards:
    headers = {"Content-Type": "application/json"}
    if key_env is not None:
        headers["Authorization"] = f"Bearer {checked_header(os.environ.get(key_env, ''), key_env)}"
    try:
        with urlopen(Request(url, msgspec.json.encode(body), headers), timeout=timeout_s) as reply:
            return msgspec.json.decode(reply.read(), type=_Rewards)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EngineError(f"{shown(url)}: the reply has no rewards ({error}); is it judges.serve?") from None
    except HTTPError as error:
        with error:
            raise EngineError(f"{shown(url)}: {error.code}: {error.read(1000).decode(errors='replace')}") from None
    except (OSError, HTTPException) as error:
        raise EngineError(f"{shown(url)}: cannot be reached: {error}; is judges.serve running there?") from None


@dataclass(frozen=True)
class PairwiseJudge:
    """The interface of the pairwise judges that TRL had up to 1.11, for trainers and callbacks written against it."""

    with_rubric: Judge

    def judge(
        self, prompts: Prompts, completions: Sequence[Sequence[Completion]], shuffle_order: bool = True
    ) -> list[int]:
        """Return 0 or 1, the better of each two completions, or -1 for a tie or without a verdict.

        Both orders are always asked, so `shuffle_order` changes nothing.
        """
        numbers = {"a": 0, "b": 1}
        return [
            numbers.get(comparison.winner or "", -1)
            for comparison in self.with_rubric.compare(prompts, *_sides(completions))
        ]

    def preferences(self, prompts: Prompts, completions: Sequence[Sequence[Completion]]) -> Rewards:
        """Return the preference for the first completion, from 0 to 1, or None without a verdict."""
        rows = self.with_rubric.compare(prompts, *_sides(completions))
        return [None if comparison.preference_b is None else 1 - comparison.preference_b for comparison in rows]


def _constraints(judge: Judge, columns: Mapping[str, Any], n: int) -> list[list[Constraint] | None] | None:
    """Return the constraints of each prompt in the data set's columns, or None if the judge does not read them.

    Raises InputError if the judge needs them and there are none, or if they have another shape.
    """
    options = judge.agent.options if judge.agent else None
    if options is None or options.tool not in ("auto", "constraints") or options.constraints != "row":
        return None
    given = {name: columns[name] for name in COLUMNS if columns.get(name) is not None}
    records = [{name: values[place] for name, values in _of_length(given, n).items()} for place in range(n)]
    if not options.checks_rows:  # the model may choose another tool, and the columns may be about something else
        return [constraints_or_error(record)[0] for record in records]
    if not given.keys() - {SETTINGS}:
        has = f"it has {', '.join(columns)}" if columns else "it has no other columns"
        raise InputError(f"the data set has no column '{OWN}' or '{IDS}', which tool='constraints' checks: {has}")
    return [constraints_in(record) for record in records]


def _of_length(columns: dict[str, Any], n: int) -> dict[str, list[Any]]:
    """Return the columns as lists. Raises InputError if one has not a value for each completion."""
    lists = {name: listed(values, name) for name, values in columns.items()}
    if wrong := [name for name, values in lists.items() if len(values) != n]:
        raise InputError(f"one of each is needed: {n} completions, {len(lists[wrong[0]])} '{wrong[0]}'")
    return lists


def _sides(completions: Sequence[Sequence[Completion]]) -> tuple[list[str], list[str]]:
    pairs = listed(completions, "completions")
    if any(isinstance(two, str) or len(two) != 2 for two in pairs):
        raise InputError("'completions' must be a list of two completions for each prompt")
    return [text_of_completion(two[0]) for two in pairs], [text_of_completion(two[1]) for two in pairs]


def _filled(scores: Rewards, prompt_ids: Sequence[str], errors: Sequence[str | None], missing: Missing) -> Rewards:
    if missing == "none" or None not in scores:
        return scores
    if missing == "raise":
        n = scores.count(None)
        raise JudgeError(f"{n} of {len(scores)} completions have no verdict: {errors[scores.index(None)]}")
    known: dict[str, list[float]] = {}
    for prompt_id, score in zip(prompt_ids, scores, strict=True):
        if score is not None:
            known.setdefault(prompt_id, []).append(score)
    lost = [place for place, prompt_id in enumerate(prompt_ids) if prompt_id not in known]
    if lost:  # what other prompts' answers are worth says nothing of these
        raise JudgeError(
            f"{len(lost)} of {len(scores)} completions have no verdict, nor has any other to their prompts, whose mean "
            f'they would get: {errors[lost[0]]}; with missing="none" they are None, which GRPO and RLOO leave out'
        )
    return [
        fmean(known[prompt_id]) if score is None else score for prompt_id, score in zip(prompt_ids, scores, strict=True)
    ]


def _named(function: FunctionT, judge: Judge) -> FunctionT:
    function.__name__ = f"judge_{judge.rubric.name}"  # TRL logs a reward under its function's name
    return function
