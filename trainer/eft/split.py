"""Splits ranked answers by tree into three parts: to learn answering, to learn judging, and to measure on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from console.errors import InputError
from judges.labelled.ranked import RankedAnswers, opening_of
from records import messages_of, write_atomic
from records.keys import content_key


@dataclass(frozen=True)
class Shares:
    """The shares of the trees. The rest is the EFT part."""

    ift: float
    held_out: float

    def check(self) -> None:
        """Raise InputError if a part would be empty."""
        if not 0 <= self.ift < 1 or not 0 < self.held_out < 1 or self.ift + self.held_out >= 1:
            raise InputError(
                f"--ift-share {self.ift:g} and --held-out-share {self.held_out:g} must be 0 or more, the second "
                "above 0, and together under 1: the rest is for EFT"
            )


@dataclass(frozen=True)
class TreeSplit:
    """Three parts that share no tree, and hence no prompt."""

    ift: list[RankedAnswers]
    eft: list[RankedAnswers]
    held_out: list[RankedAnswers]

    @property
    def key(self) -> str:
        """16 hex digits that identify which prompt is in which part."""
        return content_key("split", *([ranked.id for ranked in part] for part in (self.ift, self.eft, self.held_out)))


def split_trees(ranked: Sequence[RankedAnswers], shares: Shares, seed: int) -> TreeSplit:
    """Return the split prompts. All that open with the same user turn stay together.

    The tree's text and the seed alone decide its part, not the order of the file. Raises InputError if there are too
    few trees.
    """
    shares.check()
    trees = sorted(
        {opening_of(answers) for answers in ranked}, key=lambda opening: content_key("eft split", seed, opening)
    )
    n_held_out, n_ift = round(shares.held_out * len(trees)), round(shares.ift * len(trees))
    n_eft = len(trees) - n_held_out - n_ift
    if n_held_out < 1 or n_eft < 1 or (shares.ift and n_ift < 1):
        raise InputError(
            f"{len(trees)} trees are too few for the shares: {n_ift} IFT, {n_eft} EFT, {n_held_out} held out"
        )
    place = {opening: number for number, opening in enumerate(trees)}
    parts: tuple[list[RankedAnswers], ...] = ([], [], [])
    for answers in ranked:
        number = place[opening_of(answers)]
        parts[(number >= n_held_out) + (number >= n_held_out + n_ift)].append(answers)  # 0, 1 or 2 bounds are passed
    held_out, ift, eft = parts
    return TreeSplit(ift, eft, held_out)


def best_answers(ranked: Sequence[RankedAnswers]) -> Iterator[dict[str, object]]:
    """Yield the best answer to each first turn as a conversation (IFT: section 3.1), the first of tied ones."""
    for answers in ranked:
        chat = messages_of(answers.prompt)
        if sum(message["role"] != "system" for message in chat) == 1:
            answer = answers.responses[answers.ranks.index(0)]
            yield {"id": answers.id, "messages": [*chat, {"role": "assistant", "content": answer}]}


def claim_split(path: Path, split: TreeSplit, *, fresh: bool) -> None:
    """Write the folder's split. Raises InputError if the folder has another one, so that two are never mixed."""
    if path.exists() and not fresh:
        known = msgspec.json.decode(path.read_bytes())
        if known.get("key") != split.key:
            raise InputError(
                f"{path}: made from another file, seed or shares: a model trained on its ift.jsonl may have seen what "
                "is held out now; give another --out, or --fresh to replace it"
            )
    parts = {"ift": split.ift, "eft": split.eft, "held_out": split.held_out}
    ids = {name: [ranked.id for ranked in part] for name, part in parts.items()}
    write_atomic(path, msgspec.json.format(msgspec.json.encode({"key": split.key, **ids})))
