"""Follow the signal through each round of a self-rewarding run: from judge to pairs to learning, against people.

python -m experiments.round_signal runs/self_rewarding_small --labelled runs/eft/held_out.jsonl
python -m experiments.round_signal runs/self_rewarding_small --labelled Natural.json --limit 20

--labelled has pairs of which people preferred one, and which the run was not trained on. An answer's gain is how much
more likely a round made it, in nats: DPO's implicit reward over beta (arXiv 2305.18290). If a round passes on what its
judge knows, the chosen answers of its pairs gain more than the rejected ones, and the answers that people prefer more
than the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from console.command import Flags, Given, run
from console.errors import InputError
from console.output import tell
from console.ranges import Count

if TYPE_CHECKING:
    from console.table import Cell
    from judges.labelled.labels import LabelledPair
    from records import Message
    from records.runs import Run

    Contest = tuple[str | list[Message], str, str]
    """A prompt with the better and the worse answer to it."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Follow the signal through the rounds of a run."""

    folder: Given = None
    """The run: its folder, or its name under runs/."""
    labelled: Path | None = None
    """Answers that people compared, in any format of judges.calibrate (required)."""
    limit: Count | None = 24
    """Use the pairs of N prompts, drawn with --seed."""
    batch_size: Count = 8
    """Answers read at once."""


def main(config: Config) -> None:
    """Measure and print a row for each round of preference optimisation."""
    from console.table import print_table
    from judges.labelled.columns import columns_of
    from judges.labelled.labels import sampled
    from judges.labelled.readers.formats import read_labelled
    from records.files import BadRows
    from records.runs import find_run

    if config.folder is None or config.labelled is None:
        raise InputError("name a run, and with --labelled a file of answers that people compared")
    found = find_run(str(config.folder))
    labelled = read_labelled(config.labelled, None, columns_of(None, None, None, None), BadRows(strict=config.strict))
    drawn = sampled(labelled, config.limit, config.seed).pairs
    people = [_contest(pair) for pair in drawn if pair.label != "tie"]
    rounds = [number for number in found.iterations() if (found.iteration(number) / "pairs.jsonl").exists()]
    if not people or not rounds:
        raise InputError(f"{config.labelled if rounds else found.folder}: has no pairs to measure")
    print_table([row_of(found, number, people, config.batch_size) for number in rounds], as_json=config.json)
    if not config.json:
        tell("", f"on {len(people)} pairs of people; a gain is what the round added to an answer's log-probability")


def row_of(found: "Run", number: int, people: "Sequence[Contest]", batch_size: int) -> "dict[str, Cell]":
    """Return a round's judge accuracy, its pairs, and the gains on them and on people's pairs."""
    import json

    from records import Pair, read_rows

    folder = found.iteration(number)
    judged = json.loads((found.iteration(number - 1) / "metrics.json").read_bytes())
    pairs: list[Contest] = [
        (pair.prompt, pair.chosen[0]["content"], pair.rejected[0]["content"])
        for pair in read_rows(folder / "pairs.jsonl", Pair)
    ]
    both = [*pairs, *people]
    gains = _gains(found, number, [(prompt, text) for prompt, *texts in both for text in texts], batch_size)
    learnt = list(zip(gains[::2], gains[1::2], strict=True))
    own, theirs = learnt[: len(pairs)], learnt[len(pairs) :]
    longer = [
        both_gains if len(better) > len(worse) else both_gains[::-1]
        for both_gains, (_, better, worse) in zip(theirs, people, strict=True)
    ]
    return {
        "round": f"iter{number}",
        "judge right": (judged["monitors"] or {}).get("judge_accuracy"),
        "pairs": len(pairs),
        "chosen is longer": fmean(len(better) > len(worse) for _, better, worse in pairs),
        "chosen gained more": share_first_more(own),
        "people's better gained more": share_first_more(theirs),
        "people's longer gained more": share_first_more(longer),
    }


def share_first_more(gains: "Sequence[tuple[float | None, float | None]]") -> float | None:
    """Return the share of pairs whose first gain is larger, or None if no pair has both gains."""
    known = [(one, other) for one, other in gains if one is not None and other is not None]
    return fmean(one > other for one, other in known) if known else None


def _gains(
    found: "Run", number: int, answers: "Sequence[tuple[str | list[Message], str]]", batch_size: int
) -> list[float | None]:
    from trainer.pairs.consistency import implicit_rewards, likelihoods_under

    stored = found.iteration(number) / "signal"
    now, before = (likelihoods_under(found.model(n), answers, stored, batch_size) for n in (number, number - 1))
    return implicit_rewards(now, before)


def _contest(pair: "LabelledPair") -> "Contest":
    texts = pair.response_a, pair.response_b
    better, worse = texts if pair.label == "a" else texts[::-1]
    return pair.prompt, better, worse


if __name__ == "__main__":
    run(Config, main, "python -m experiments.round_signal")
