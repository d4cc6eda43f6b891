"""Makes examples of judging from ranked answers, and reports what is left after each step."""

import json
from dataclasses import replace
from pathlib import Path

from console.errors import InputError, JudgeError
from console.output import tell, tell_encoded, tell_plan
from console.progress import say
from console.table import Cell, print_table
from engines.options import check_engine, open_engine, pinned
from judges.judging.judge import open_judge
from judges.labelled.ranked import RankedAnswers, opening_of
from judges.labelled.ranked_files import read_ranked
from judges.options import OF_CHOICES
from judges.rubrics.checked import checked_rubric
from judges.rubrics.rubric import Rubric
from records import write_atomic
from records.files import BadRows, check_limit
from records.store import write_rows
from trainer.eft.examples import JudgeExample, classes, from_ranks, judge_chat, resampled
from trainer.eft.judging import agreeing_examples, attempts_on, check_attempts, judged, reply_counts
from trainer.eft.options import Config
from trainer.eft.split import Shares, TreeSplit, best_answers, claim_split, split_trees

Steps = list[dict[str, Cell]]
"""One row per step: what is left after it."""


def make_examples(config: Config) -> None:
    """Read, split, judge, filter, resample, write, and print what is left after each step."""
    config = replace(config, engine=pinned(config.engine))
    source, rubric = _checked(config)
    bad = BadRows(strict=config.strict)
    ranked = read_ranked(source, bad)
    split = split_trees(ranked, Shares(config.ift_share, config.held_out_share), config.seed)
    steps = [
        _step("read", ranked, bad=bad.n_bad),
        _step("IFT", split.ift),
        _step("EFT", split.eft),
        _step("held out", split.held_out),
        {**_empty("first turns for IFT"), "prompts": len(list(best_answers(split.ift)))},
    ]
    if config.dry_run:
        _print_plan(config, rubric, split, steps)
        return
    _write_split(config, split)
    if config.split_only:
        _finish(config, steps, [])
        return
    examples = _examples(config, rubric, split.eft[: config.limit], steps)
    _write_examples(config, examples, steps)


def _examples(config: Config, rubric: Rubric, eft: list[RankedAnswers], steps: Steps) -> list[JudgeExample]:
    """Return the examples before resampling."""
    if config.targets == "ranks":
        examples = [example for ranked in eft for example in from_ranks(ranked, rubric, config.judge.read)]
        steps.append(_kept("scored by rank", examples))
        return examples
    judge = open_judge(open_engine(config.engine), config.judge, config.seed)
    path, least = config.out / "judgments.jsonl", config.judge.min_coverage
    judgments = judged(judge, eft, path, min_coverage=least, fresh=config.fresh)
    attempts = attempts_on(judge, judgments)
    steps += [{**_empty(name), "replies": n} for name, n in reply_counts(judge, judgments, attempts).items()]
    _write_counts(config, steps, [])
    check_attempts(attempts, judgments)
    examples = agreeing_examples(judge, eft, attempts, config.agreement)
    steps.append(_kept("agreed", examples))
    return examples


def _write_split(config: Config, split: TreeSplit) -> None:
    claim_split(config.out / "split.json", split, fresh=config.fresh)
    write_rows(config.out / "ift.jsonl", best_answers(split.ift))
    write_rows(config.out / "eft.jsonl", split.eft)
    write_rows(config.out / "held_out.jsonl", split.held_out)


def _write_examples(config: Config, examples: list[JudgeExample], steps: Steps) -> None:
    """Resample, write train.jsonl, and report. Raises JudgeError if nothing is left."""
    chosen = resampled(examples, config.max_share, config.seed)
    steps.append(_kept("resampled", chosen))
    before, after = classes(examples), classes(chosen)
    if chosen and max(after.values()) > config.max_share * len(chosen) + 1e-9:
        say(f"only {len(after)} scores occur, too few for --max-share {config.max_share:g}: each has an equal share")
    if chosen:
        write_rows(config.out / "train.jsonl", chosen)
    _finish(config, steps, [{"score": f"{x:g}", "examples": n, "resampled": after[x]} for x, n in before.items()])
    if not chosen:
        raise JudgeError(
            "no prompt's scores agree with the people's ranking, so there is nothing to train on. Try more --samples, "
            "--agreement pair, another --model or --rubric, or --targets ranks"
        )


def _finish(config: Config, steps: Steps, scores: Steps) -> None:
    """Write counts.json and print it, as tables or with --json as it is."""
    text = _write_counts(config, steps, scores)
    if config.json:
        tell_encoded(text)
        return
    print_table(steps)
    if scores:
        tell()
        print_table(scores)
    tell("", f"{config.out}: ift.jsonl, eft.jsonl, held_out.jsonl{', train.jsonl' if scores else ''}; counts.json")


def _write_counts(config: Config, steps: Steps, scores: Steps) -> str:
    """Write the counts so far, which are complete even if the next step finds nothing, and return them as JSON."""
    counts = {"steps": steps, "scores": scores, "targets": config.targets, "agreement": config.agreement}
    text = json.dumps(counts, ensure_ascii=False, indent=1)
    write_atomic(config.out / "counts.json", text)
    return text


def _print_plan(config: Config, rubric: Rubric, split: TreeSplit, steps: Steps) -> None:
    eft = split.eft[: config.limit]
    n_answers = sum(len(ranked.responses) for ranked in eft)
    samples = 1 if config.judge.read in OF_CHOICES else config.judge.samples
    n_calls = 0 if config.split_only or config.targets == "ranks" else n_answers * samples
    if n_calls:
        check_engine(config.engine)
    if not config.json:
        print_table(steps)
    chat = judge_chat(rubric, config.judge.read, eft[0].prompt, eft[0].responses[0], "")
    tell_plan(
        {"steps": steps, "model": config.engine.model, "calls": n_calls, "answers": n_answers, "out": config.out},
        "",
        f"would ask {config.engine.model} {n_calls} times about {n_answers} answers, and write to {config.out}",
        as_json=config.json,
        prompt=chat[0]["content"],
    )


def _step(name: str, ranked: list[RankedAnswers], bad: int | None = None) -> dict[str, Cell]:
    n_answers = sum(len(answers.responses) for answers in ranked)
    trees = len({opening_of(answers) for answers in ranked})
    return {**_empty(name), "trees": trees, "prompts": len(ranked), "answers": n_answers, "bad rows": bad}


def _kept(name: str, examples: list[JudgeExample]) -> dict[str, Cell]:
    return {**_empty(name), "prompts": len({example.prompt_id for example in examples}), "answers": len(examples)}


def _empty(name: str) -> dict[str, Cell]:
    return {"step": name, "trees": None, "prompts": None, "answers": None, "replies": None, "bad rows": None}


def _checked(config: Config) -> tuple[Path, Rubric]:
    """Return the file and the rubric. Raises InputError for a wrong flag, before anything is read."""
    if config.file is None:
        raise InputError("name a file of ranked answers; see --help")
    check_limit(config.limit)
    if config.judge.read == "structured":
        raise InputError("--read structured is forced by a server and need not be learnt; use text or logprobs")
    rubric = checked_rubric(config.judge)
    if config.judge.read == "decisions":
        raise InputError("--read decisions: no model learns to judge from decisions; give --read text or logprobs")
    if rubric.kind != "score" or rubric.criteria or "reference" in rubric.placeholders:
        raise InputError(f"--rubric {rubric.name}: EFT needs one score for one answer, without a reference: additive")
    return config.file, rubric
