"""Make preference pairs of judged answers: the best against the worst answer to each prompt.

python -m trainer.pairs judgments.jsonl --out pairs.jsonl
python -m trainer.pairs judgments.jsonl --rho 0.1 --max-score-share 0.4 --min-margin 0.5 --out pairs.jsonl
python -m trainer.pairs judgments.jsonl --second-judge other.jsonl --votes votes.jsonl --on-vote overrule
python -m trainer.pairs iter2/judgments.jsonl --rejected-from iter0/judgments.jsonl      the rejected of another model
python -m trainer.pairs judgments.jsonl --positive-only --out chats.jsonl                chats for trainer.sft, no pairs

FILE has judgments, as judges.score writes them. Ties and answers without a score give no pair; the table says what
became of every prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from console.command import Flags, Given, run
from console.errors import InputError, JudgeError, TrainingError
from console.output import tell
from console.ranges import Count, Number, Share
from console.writing import OutRows
from trainer.pairs.pairing import PairCounts, PairOptions, make_pairs

if TYPE_CHECKING:
    from console.table import Cell
    from records import Judgment, Pair

__all__ = ["PairCounts", "PairOptions", "make_pairs"]

OUT = Path("runs/pairs/pairs.jsonl")


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Make preference pairs of judged answers."""

    file: Given = None
    """Judgments to make pairs of."""
    out: OutRows = OUT
    """Where the pairs, or chats, go; an earlier file is set aside."""
    rejected_from: Path | None = None
    """Judgments of another model's answers to the same prompts: choose from FILE and reject from these."""
    limit: Count | None = None
    """Only the first N prompts of FILE, with all their answers."""
    positive_only: bool = False
    """Write no pairs but a chat for each answer with a perfect score."""
    positive_score: Number | None = None
    """The least score that counts as perfect; the default is the rubric's highest."""
    pairs: Annotated[PairOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PairOptions)
    min_coverage: Share = 0.9
    """Fail, with the pairs written, if --second-judge scores fewer than this share of the answers that are scored."""


def main(config: Config) -> None:
    """Read, pair, write and print what became of the prompts."""
    from records import prompt_key
    from records.files import check_limit, take_prompts
    from records.inputs import check_out

    if config.file is None:
        raise InputError("name a file of judgments; judges.score writes one")
    check_limit(config.limit)
    check_out(config.out, config.file, config.rejected_from, config.pairs.votes, config.pairs.second_judge)
    judgments = list(take_prompts(_judgments(config.file, strict=config.strict), config.limit, prompt_key))
    if config.positive_only:
        _write_chats(judgments, config)
        return
    pairs, counts = _pairs(judgments, config)
    if not pairs:
        reading = "--read logprobs, " if any(row.read in ("text", "structured") for row in judgments) else ""
        raise TrainingError(
            f"{config.file}: none of {counts.n_prompts} prompts gave a pair: {_losses(counts)}. Try more answers to "
            f"each prompt, a higher temperature, {reading}another judge, or fewer filters"
        )
    _finish(pairs, _table_row(pairs, counts), config)
    _check_second(judgments, config)


def _check_second(judgments: "list[Judgment]", config: Config) -> None:
    from records import answer_key
    from trainer.pairs.filters import read_second_scores

    if config.pairs.second_judge is None:
        return
    seconded = read_second_scores(config.pairs.second_judge, judgments)
    wanted = {answer_key(row) for row in judgments if row.score is not None}
    n_seconded = sum(seconded.get(key) is not None for key in wanted)
    if n_seconded < config.min_coverage * len(wanted):
        raise JudgeError(
            f"{config.pairs.second_judge}: has a score of only {n_seconded} of {len(wanted)} answers, under "
            f"--min-coverage {config.min_coverage:g}, and the pairs of the others are dropped; let the second judge "
            "score the same file, or give a lower --min-coverage"
        )


def _judgments(path: Path, *, strict: bool) -> "list[Judgment]":
    from records import Judgment
    from records.fields.typed import read_typed
    from records.files import BadRows
    from records.store import latest

    return latest(read_typed(path, Judgment, BadRows(strict=strict)))


def _pairs(judgments: "list[Judgment]", config: Config) -> "tuple[list[Pair], PairCounts]":
    if config.rejected_from is None:
        return make_pairs(judgments, config.pairs, config.seed)
    from trainer.pairs.temporal import temporal_pairs

    rejected = _judgments(config.rejected_from, strict=config.strict)
    return temporal_pairs(rejected, judgments, config.pairs, config.seed)


def _write_chats(judgments: "list[Judgment]", config: Config) -> None:
    from trainer.pairs.pairing import positive_chats

    chats = positive_chats(judgments, config.positive_score)
    if not chats:
        raise TrainingError(
            f"{config.file}: none of {len(judgments)} answers has a perfect score; try --positive-score, because an "
            "expected score (--read logprobs) hardly ever reaches the end of the scale"
        )
    row: dict[str, Cell] = {"answers": len(judgments), "perfect": len(chats)}
    _finish([{"messages": chat} for chat in chats], row, config)


def _finish(rows: "Sequence[object]", table_row: "dict[str, Cell]", config: Config) -> None:
    from console.table import print_table
    from records.store import set_aside, write_rows

    if not config.dry_run:
        set_aside(config.out)
        write_rows(config.out, rows)
    print_table([table_row], as_json=config.json)
    if not config.json:
        tell("", "nothing is written" if config.dry_run else config.out)


def _table_row(pairs: "Sequence[Pair]", counts: PairCounts) -> "dict[str, Cell]":
    from dataclasses import asdict
    from statistics import fmean

    row: dict[str, Cell] = {name.removeprefix("n_").replace("_", " "): n for name, n in asdict(counts).items()}
    known = [pair.confidence for pair in pairs if pair.confidence is not None]
    return row | {
        "mean margin": fmean(pair.margin or 0.0 for pair in pairs),
        "confidence": fmean(known) if known else None,
        "chosen chars": fmean(len(pair.chosen[0]["content"]) for pair in pairs),
        "rejected chars": fmean(len(pair.rejected[0]["content"]) for pair in pairs),
    }


def _losses(counts: PairCounts) -> str:
    lost = {
        "tied": counts.n_tied,
        "worse than all that could be rejected": counts.n_worse,
        "with one text as best and worst": counts.n_same_text,
        "within --min-margin": counts.n_near,
        "with fewer than two scored answers": counts.n_too_few,
        "against the evidence": counts.n_refuted,
        "against the second judge": counts.n_disagreed,
        "outvoted": counts.n_outvoted,
    }
    return ", ".join(f"{n} {reason}" for reason, n in lost.items() if n)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.pairs")
