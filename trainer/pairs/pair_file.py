"""Reads judgments, and writes and reports the pairs or chats made from them."""

from array import array
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

from console.errors import InputError, TrainingError
from console.output import counted, say, tell
from console.table import Cell, print_table
from judges.judging.coverage import require_coverage
from records import Judgment, Pair, answer_key, prompt_key
from records.disk import DiskSet, GroupedRows
from records.fields.typed import read_typed
from records.files import BadRows, check_limit
from records.inputs import check_out
from records.store import set_aside, write_rows
from trainer.pairs.filters import read_second_scores
from trainer.pairs.flags import Config
from trainer.pairs.pairing import Made, PairCounts, each_positive_chat, make_pairs_on_disk
from trainer.pairs.temporal import temporal_pairs

VOTES = "votes.jsonl"


def make_pair_file(config: Config) -> None:
    """Read, pair, write and print the outcome of the prompts."""
    if config.file is None:
        raise InputError("name a file of judgments; judges.score writes one")
    check_limit(config.limit)
    check_out(config.out, config.file, config.rejected_from, config.pairs.votes, config.pairs.second_judge)
    _say_unused_votes(config.file, config.pairs.votes)
    judgments = _judgments(config.file, config.limit, strict=config.strict)
    if config.positive_only:
        _write_chats(judgments, config)
        return
    pairs, counts = _pairs(judgments, config)
    if not pairs:
        reading = "--read logprobs, " if any(judgment.read in ("text", "structured") for judgment in judgments) else ""
        raise TrainingError(
            f"{config.file}: none of {counts.n_prompts} prompts gave a pair: {_losses(counts)}. Try more answers to "
            f"each prompt, a higher temperature, {reading}another judge, or fewer filters"
        )
    _finish(pairs, _table_row(pairs, counts), config)
    n_unsure = sum(pair.confidence is None for pair in pairs)
    if config.pairs.weight == "confidence" and n_unsure:
        say(f"--weight confidence: no confidence, so the weight 1, for {n_unsure} of {counted(len(pairs), 'pairs')}")
    _check_second(judgments, config)


def _say_unused_votes(file: Path, votes: Path | None) -> None:
    """Name the votes that the terminal UI has written beside a file or in its run, if they are not used."""
    places = (file.with_name(VOTES), file.parent.parent / VOTES)
    given = next((place for place in places if place.is_file()), None)
    if votes is None and given is not None:
        say(f"{given}: people's votes, which are not used: --votes {given} uses them")


def _check_second(judgments: Iterable[Judgment], config: Config) -> None:
    if config.pairs.second_judge is None:
        return
    seconded = read_second_scores(config.pairs.second_judge, judgments)
    wanted = DiskSet()
    for judgment in judgments:
        if judgment.score is not None:
            wanted.add(answer_key(judgment))
    n_seconded = sum(seconded.get(key) is not None for key in wanted)
    require_coverage(
        n_seconded,
        len(wanted),
        config.min_coverage,
        what="answers have a score",
        advice="The pairs of the others are dropped: let the second judge score the same file",
        source=config.pairs.second_judge,
    )


def _judgments(path: Path, limit: int | None = None, *, strict: bool) -> GroupedRows[Judgment]:
    """Return the judgments of a file by prompt, the last one of each id, of the first `limit` prompts."""
    judgments = GroupedRows(Judgment, limit)
    for judgment in read_typed(path, Judgment, BadRows(strict=strict)):
        judgments.put(judgment, prompt_key(judgment), judgment.id)
    return judgments


def _pairs(judgments: GroupedRows[Judgment], config: Config) -> tuple[Made, PairCounts]:
    if config.rejected_from is None:
        return make_pairs_on_disk(judgments, config.pairs, config.seed)
    rejected = _judgments(config.rejected_from, strict=config.strict)
    return temporal_pairs(list(rejected), list(judgments), config.pairs, config.seed)


def _write_chats(judgments: GroupedRows[Judgment], config: Config) -> None:
    n_chats = sum(1 for _ in each_positive_chat(judgments, config.positive_score))
    if not n_chats:
        raise TrainingError(
            f"{config.file}: none of {len(judgments)} answers has a perfect score; try --positive-score, because an "
            "expected score (--read logprobs) hardly ever reaches the end of the scale"
        )
    table_row: dict[str, Cell] = {"answers": len(judgments), "perfect": n_chats}
    chats = each_positive_chat(judgments, config.positive_score)
    _finish(({"messages": chat} for chat in chats), table_row, config)


def _finish(rows: Iterable[object], table_row: dict[str, Cell], config: Config) -> None:
    if not config.dry_run:
        set_aside(config.out)
        write_rows(config.out, rows)
    print_table([table_row], as_json=config.json)
    if not config.json:
        tell("", "nothing was written" if config.dry_run else config.out)


def _table_row(pairs: Iterable[Pair], counts: PairCounts) -> dict[str, Cell]:
    table_row: dict[str, Cell] = {name.removeprefix("n_").replace("_", " "): n for name, n in asdict(counts).items()}
    margins, confidences = array("d"), array("d")  # 8 bytes a pair
    n_chosen = n_rejected = 0
    for pair in pairs:
        margins.append(pair.margin or 0.0)
        if pair.confidence is not None:
            confidences.append(pair.confidence)
        n_chosen += len(pair.chosen[0]["content"])
        n_rejected += len(pair.rejected[0]["content"])
    return table_row | {
        "mean margin": fmean(margins),
        "confidence": fmean(confidences) if confidences else None,
        "chosen chars": n_chosen / len(margins),
        "rejected chars": n_rejected / len(margins),
    }


def _losses(counts: PairCounts) -> str:
    losses = {
        "tied": counts.n_tied,
        "worse than every rejectable answer": counts.n_worse,
        "with one text as best and worst": counts.n_same_text,
        "within --min-margin": counts.n_near,
        "with fewer than two scored answers": counts.n_too_few,
        "against the evidence": counts.n_refuted,
        "against the second judge": counts.n_disagreed,
        "outvoted": counts.n_outvoted,
    }
    return ", ".join(f"{n} {reason}" for reason, n in losses.items() if n)
