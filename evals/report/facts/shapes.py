"""What a report reads of the files of a run. All is optional, because runs of other versions lack some of it."""

from typing import Any

import msgspec

from judges.intervals.bootstrap import Estimate
from judges.judging.win_rate import WinRate
from records.rows import Message, Usage


class LedgerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A line of ledger.jsonl."""

    id: str
    parent: str | None = None
    reference_model: str | None = None
    judge: str | None = None
    counts: dict[str, int] = {}
    mean_score: float | None = None
    mean_chars: float | None = None
    n_tokens: int = 0
    training: dict[str, float] = {}
    seconds: float = 0.0


class FollowingFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The share of answers that do what their prompt asks."""

    n_prompts: int = 0
    follows: Estimate | None = None
    follows_loose: Estimate | None = None
    known_pairs: Estimate | None = None
    gain: Estimate | None = None


class HeldOutFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An iteration's metrics.json."""

    iteration: int
    judge: str | None = None
    n_prompts: int = 0
    n_unscored: int = 0
    mean_score: float | None = None
    mean_chars: float | None = None
    win_rate: WinRate | None = None
    following: FollowingFacts | None = None
    monitors: dict[str, Any] | None = None


class PolicyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A policy in the eval/evaluation.json of trainer.rlp."""

    id: str
    n_answers: int = 0
    mean_chars: float | None = None
    rewards: dict[str, float | None] = {}
    kl: dict[str, Any] | None = None
    win_rate: WinRate | None = None


class RewardModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A reward model in the same file."""

    id: str
    held_out: dict[str, Any] = {}
    on_policy: dict[str, dict[str, Any]] = {}


class RlpFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The eval/evaluation.json of trainer.rlp."""

    annotator: str | None = None
    policies: list[PolicyFacts] = []
    reward_models: list[RewardModelFacts] = []


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """What a report counts of a judgment."""

    score: float | None = None
    error: str | None = None
    response: str = ""
    usage: Usage = Usage()


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What a report shows of a judgment."""

    prompt_id: str = ""
    response: str = ""
    score: float | None = None
    replies: list[str] = []
    read: str = ""


class Voted(msgspec.Struct, frozen=True, kw_only=True):
    """A line of votes.jsonl."""

    prompt_id: str = ""
    a_id: str = ""
    b_id: str = ""
    winner: str = ""


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """A held-out answer."""

    id: str = ""
    prompt_id: str = ""
    prompt: str | list[Message] = ""
    response: str = ""
