"""Measures the signal of each round: what its judge knew, and what the round learnt."""

import json
from collections.abc import Sequence
from statistics import fmean

from console.errors import InputError
from console.output import tell
from console.table import Cell, print_table
from experiments.round_signal.options import Config
from judges.labelled.columns import columns_of
from judges.labelled.labels import LabelledPair, sampled
from judges.labelled.readers.formats import read_labelled
from records import Message, Pair, read_rows
from records.files import BadRows
from records.runs import Run, find_run
from trainer.pairs.consistency import implicit_rewards, likelihoods_under

OrderedAnswers = tuple[str | list[Message], str, str]
"""A prompt with the better and the worse answer to it."""


def print_rounds(config: Config) -> None:
    """Measure and print a row for each round of preference optimisation."""
    if config.folder is None or config.labelled is None:
        raise InputError("name a run, and with --labelled a file of answers that people compared")
    source = find_run(str(config.folder))
    labelled = read_labelled(config.labelled, None, columns_of(None, None, None, None), BadRows(strict=config.strict))
    drawn = sampled(labelled, config.limit, config.seed).pairs
    people = [_contest(pair) for pair in drawn if pair.label != "tie"]
    rounds = [number for number in source.iterations() if (source.iteration(number) / "pairs.jsonl").exists()]
    if not people or not rounds:
        raise InputError(f"{config.labelled if rounds else source.folder}: has no pairs to measure")
    print_table([row_of(source, number, people, config.batch_size) for number in rounds], as_json=config.json)
    if not config.json:
        tell("", f"on {len(people)} pairs of people; a gain is what the round added to an answer's log-probability")


def row_of(source: Run, number: int, people: Sequence[OrderedAnswers], batch_size: int) -> dict[str, Cell]:
    """Return a round's judge accuracy, its pairs, and the gains on them and on people's pairs."""
    folder = source.iteration(number)
    # the parent judged the answers of this round
    judged = json.loads((source.iteration(number - 1) / "metrics.json").read_bytes())
    pairs: list[OrderedAnswers] = [
        (pair.prompt, pair.chosen[0]["content"], pair.rejected[0]["content"])
        for pair in read_rows(folder / "pairs.jsonl", Pair)
    ]
    both = [*pairs, *people]  # one pass of each model over all
    gains = _gains(source, number, [(prompt, text) for prompt, *texts in both for text in texts], batch_size)
    learnt = list(zip(gains[::2], gains[1::2], strict=True))  # (better, worse) of each pair, whose texts stand in turn
    on_pairs, on_people = learnt[: len(pairs)], learnt[len(pairs) :]
    longer = [
        # the longer first; a baseline: what a round that learnt nothing but length would show
        both_gains if len(better) > len(worse) else both_gains[::-1]
        for both_gains, (_, better, worse) in zip(on_people, people, strict=True)
    ]
    return {
        "round": f"iter{number}",
        "judge right": (judged["monitors"] or {}).get("judge_accuracy"),
        "pairs": len(pairs),
        "chosen is longer": fmean(len(better) > len(worse) for _, better, worse in pairs),
        "chosen gained more": share_first_more(on_pairs),
        "people's better gained more": share_first_more(on_people),
        "people's longer gained more": share_first_more(longer),
    }


def share_first_more(gains: Sequence[tuple[float | None, float | None]]) -> float | None:
    """Return the share of pairs whose first gain is larger, or None if no pair has both gains."""
    known = [(first, second) for first, second in gains if first is not None and second is not None]
    return fmean(first > second for first, second in known) if known else None


def _gains(
    source: Run, number: int, answers: Sequence[tuple[str | list[Message], str]], batch_size: int
) -> list[float | None]:
    stored = source.iteration(number) / "signal"
    now, before = (likelihoods_under(source.model(n), answers, stored, batch_size) for n in (number, number - 1))
    return implicit_rewards(now, before)


def _contest(pair: LabelledPair) -> OrderedAnswers:
    texts = pair.response_a, pair.response_b
    better, worse = texts if pair.label == "a" else texts[::-1]
    return pair.prompt, better, worse
