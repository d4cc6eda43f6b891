"""Human votes on pairs of answers: their pairs, the majority, and the votes on no known pair."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from console.progress import say
from records import Judgment, answer_key
from records.votes import Key, read_votes

Preferred = Literal["chosen", "rejected", "neither"]
SHOWN = 3


@dataclass(frozen=True)
class Votes:
    """The last vote of each voter on each known pair of answers."""

    path: Path
    by_pair: Mapping[Key, Mapping[str, str | None]]
    """The id of the better answer by voter, or None for a tie."""
    used: set[Key] = field(default_factory=set)
    """The pairs whose votes were used."""

    def preferred(self, chosen: Judgment, rejected: Judgment) -> Preferred | None:
        """Return the majority's preference, `neither` for a tie or no majority, None if nobody voted on the two."""
        key = (chosen.prompt_id, frozenset((chosen.response_id, rejected.response_id)))
        if not (winners := self.by_pair.get(key)):
            return None
        self.used.add(key)
        winner = _by_majority(winners)
        return "neither" if winner is None else "chosen" if winner == chosen.response_id else "rejected"

    def say(self) -> None:
        """Print on stderr the number of pairs decided by votes, and the pairs on which the voters disagree."""
        n_all, n_used = len(self.by_pair), len(self.used)
        if n_all == 0:
            return
        idle = f"; {n_all - n_used} are on answers that form no pair here" if n_all > n_used else ""
        say(f"{self.path}: votes on {n_all} pairs of answers, of which {n_used} decide a pair{idle}")
        split = [key for key in self.by_pair if len(set(self.by_pair[key].values())) > 1]
        if split:
            n_even = sum(_by_majority(self.by_pair[key]) is None for key in split)
            even = f", and {n_even} are even or mostly ties, which is a vote for neither" if n_even else ""
            say(
                f"{self.path}: voters disagree on {len(split)} pairs of answers, where the majority counts{even}: "
                f"{_shown(prompt_id for prompt_id, _ in split)}"
            )


def votes_on(path: Path, judgments: Iterable[Judgment]) -> Votes:
    """Return people's votes on the answers in `judgments`.

    Votes on no two of these answers, or on an id that several answers share, are dropped and reported.
    """
    return Votes(path, _on_these(read_votes(path), judgments, path))


def _on_these(
    by_pair: Mapping[Key, Mapping[str, str | None]], judgments: Iterable[Judgment], path: Path
) -> dict[Key, Mapping[str, str | None]]:
    """Return the votes on two known answers, and report the number of others with the reason."""
    voted = {prompt_id for prompt_id, _ in by_pair}  # the others are most of a large file
    owners: dict[tuple[str, str], set[str]] = {}
    for judgment in judgments:
        if judgment.prompt_id in voted:
            owners.setdefault((judgment.prompt_id, judgment.response_id), set()).add(answer_key(judgment))
    prompts = {prompt_id for prompt_id, _ in owners}
    known: dict[Key, Mapping[str, str | None]] = {}
    lost: dict[str, list[str]] = {"no prompt": [], "no answer": [], "one answer": [], "shared": []}
    for (prompt_id, ids), winners in by_pair.items():
        n_owners = [len(owners.get((prompt_id, answer_id), ())) for answer_id in ids]
        if prompt_id not in prompts:
            lost["no prompt"].append(prompt_id)
        elif len(ids) < 2:
            lost["one answer"].append(f"{prompt_id}: {min(ids)}")
        elif 0 in n_owners:
            unknown = [answer_id for answer_id, n in zip(ids, n_owners, strict=True) if n == 0]
            lost["no answer"].append(f"{prompt_id}: {', '.join(sorted(unknown))}")
        elif max(n_owners) > 1:
            lost["shared"].append(prompt_id)
        else:
            known[prompt_id, ids] = winners
    for kind, reason in (
        ("no prompt", "because there is no such prompt_id here"),
        ("no answer", "because the prompt has no answer of that id"),
        ("one answer", "because a_id and b_id are the same"),
        ("shared", "because several answers to the prompt have the same id"),
    ):
        if names := lost[kind]:
            say(f"{path}: left out: the votes on {len(names)} pairs, {reason}: {_shown(names)}")
    return known


def _by_majority(votes: Mapping[str, str | None]) -> str | None:
    """Return the answer with the most votes, or None if ties or no single option have the most votes."""
    counts = Counter(votes.values()).most_common(2)  # a tie is a vote too: two of three make it the majority
    return None if len(counts) > 1 and counts[0][1] == counts[1][1] else counts[0][0]


def _shown(names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return "; ".join(distinct[:SHOWN]) + ("; ..." if len(distinct) > SHOWN else "")
