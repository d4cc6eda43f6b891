"""Make data that teach a model to judge, from answers that people ranked (EFT: Self-Rewarding, section 3.1).

python -m trainer.eft trees.jsonl.gz --split-only --out runs/eft                 IFT, EFT and held-out parts, by tree
python -m trainer.eft trees.jsonl.gz --model runs/sft/model --out runs/eft       the model judges; what agrees is kept
python -m trainer.eft OpenAssistant/oasst1 --model runs/sft/model --samples 4 --out runs/eft
python -m trainer.eft ranked.jsonl --targets ranks --read logprobs --out runs/eft    scores from the ranks, no model

FILE has ranked answers: OASST trees or messages, rows with prompt, responses and ranks, HelpSteer, or UltraFeedback.
Stopped and started again, it goes on where it was.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from console.again import starts_again
from console.command import Flags, Given, run
from console.errors import InputError
from console.output import tell, tell_encoded, tell_plan
from console.ranges import Count, ShareAbove0, ShareBelow1, ShareBetween
from console.writing import OutFolder
from engines.options import EngineOptions, SharedEngineOptions, pinned
from judges.options import JudgeOptions

if TYPE_CHECKING:
    from console.table import Cell
    from judges.labelled.ranked import RankedAnswers
    from judges.rubrics.rubric import Rubric
    from trainer.eft.examples import JudgeExample
    from trainer.eft.split import Split

    Steps = list[dict[str, Cell]]


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Make data that teach a model to judge."""

    file: Given = None
    """Ranked answers."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(
        default_factory=lambda: JudgeOptions(read="text", samples=1, min_coverage=0.0)
    )
    targets: Literal["judged", "ranks"] = "judged"
    """judged: the model's own replies, where they agree with the people. ranks: the score is made from the rank and no
    model is asked, for a model too small to write a score that can be read."""
    agreement: Literal["prompt", "pair"] = "prompt"
    """prompt: keep a prompt where no pair of its answers is scored against the people and at least one pair as they
    ranked it. pair: the same for each answer's own pairs. A tie of the judge speaks neither for nor against."""
    ift_share: ShareBelow1 = 0.3
    """The share of the trees whose best first answers are for IFT."""
    held_out_share: ShareBetween = 0.3
    """The share of the trees that is for evals.reward_model alone; what is left is for EFT."""
    max_share: ShareAbove0 = 0.4
    """No score has a larger share of the examples than this."""
    limit: Count | None = None
    """Use only the first N prompts of the EFT part."""
    split_only: bool = False
    """Write the three parts and stop, so that a model can be trained on ift.jsonl first."""
    out: OutFolder = Path("runs/eft")
    """The folder for ift, eft, held_out, judgments and train .jsonl, split.json and counts.json."""


@starts_again
def main(config: Config) -> None:
    """Read, split, judge, filter, resample, write, and print what is left after each step."""
    config = replace(config, engine=pinned(config.engine))
    from judges.labelled.ranked_files import read_ranked
    from records.files import BadRows
    from trainer.eft.split import Shares, best_answers, split_trees

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


def _examples(config: Config, rubric: "Rubric", eft: "list[RankedAnswers]", steps: "Steps") -> "list[JudgeExample]":
    """Return the examples before any is dropped for its score."""
    from engines.options import open_engine
    from judges.judging.judge import open_judge
    from trainer.eft.examples import from_ranks
    from trainer.eft.judging import agreeing_examples, attempts_on, check_attempts, judged, reply_counts

    if config.targets == "ranks":
        examples = [one for ranked in eft for one in from_ranks(ranked, rubric, config.judge.read)]
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


def _write_split(config: Config, split: "Split") -> None:
    from records.store import write_rows
    from trainer.eft.split import best_answers, claim_split

    claim_split(config.out / "split.json", split, fresh=config.fresh)
    write_rows(config.out / "ift.jsonl", best_answers(split.ift))
    write_rows(config.out / "eft.jsonl", split.eft)
    write_rows(config.out / "held_out.jsonl", split.held_out)


def _write_examples(config: Config, examples: "list[JudgeExample]", steps: "Steps") -> None:
    """Resample, write train.jsonl, and report; raises JudgeError where nothing is left."""
    from console.errors import JudgeError
    from console.progress import say
    from records.store import write_rows
    from trainer.eft.examples import classes, resampled

    kept = resampled(examples, config.max_share, config.seed)
    steps.append(_kept("resampled", kept))
    before, after = classes(examples), classes(kept)
    if kept and max(after.values()) > config.max_share * len(kept) + 1e-9:
        say(f"only {len(after)} scores occur, too few for --max-share {config.max_share:g}: each has an equal share")
    if kept:
        write_rows(config.out / "train.jsonl", kept)
    _finish(config, steps, [{"score": f"{x:g}", "examples": n, "resampled": after[x]} for x, n in before.items()])
    if not kept:
        raise JudgeError(
            "no prompt's scores agree with the people's ranking, so there is nothing to train on. Try more --samples, "
            "--agreement pair, another --model or --rubric, or --targets ranks"
        )


def _finish(config: Config, steps: "Steps", scores: "Steps") -> None:
    """Write counts.json and print it as tables, or as it is with --json."""
    from console.table import print_table

    text = _write_counts(config, steps, scores)
    if config.json:
        tell_encoded(text)
        return
    print_table(steps)
    if scores:
        tell()
        print_table(scores)
    tell("", f"{config.out}: ift.jsonl, eft.jsonl, held_out.jsonl{', train.jsonl' if scores else ''}; counts.json")


def _write_counts(config: Config, steps: "Steps", scores: "Steps") -> str:
    """Write how much is left after each step, also where the next one finds nothing, and return it as JSON."""
    import json

    from records import write_atomic

    found = {"steps": steps, "scores": scores, "targets": config.targets, "agreement": config.agreement}
    text = json.dumps(found, ensure_ascii=False, indent=1)
    write_atomic(config.out / "counts.json", text)
    return text


def _print_plan(config: Config, rubric: "Rubric", split: "Split", steps: "Steps") -> None:
    from console.table import print_table
    from engines.options import check_engine
    from trainer.eft.examples import judge_chat

    eft = split.eft[: config.limit]
    n_answers = sum(len(ranked.responses) for ranked in eft)
    samples = 1 if config.judge.read == "logprobs" else config.judge.samples
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


def _step(name: str, ranked: "list[RankedAnswers]", bad: int | None = None) -> "dict[str, Cell]":
    from judges.labelled.ranked import opening_of

    n_answers = sum(len(one.responses) for one in ranked)
    trees = len({opening_of(one) for one in ranked})
    return {**_empty(name), "trees": trees, "prompts": len(ranked), "answers": n_answers, "bad rows": bad}


def _kept(name: str, examples: "list[JudgeExample]") -> "dict[str, Cell]":
    return {**_empty(name), "prompts": len({one.prompt_id for one in examples}), "answers": len(examples)}


def _empty(name: str) -> "dict[str, Cell]":
    return {"step": name, "trees": None, "prompts": None, "answers": None, "replies": None, "bad rows": None}


def _checked(config: Config) -> "tuple[Path, Rubric]":
    """Return the file and the rubric; raises InputError where a flag is wrong, before anything is read."""
    from judges.judging.judge import checked_rubric
    from records.files import check_limit

    if config.file is None:
        raise InputError("name a file of ranked answers; see --help")
    check_limit(config.limit)
    if config.judge.read == "structured":
        raise InputError("--read structured is forced by a server and need not be learnt; use text or logprobs")
    rubric = checked_rubric(config.judge)
    if rubric.kind != "score" or rubric.criteria or "reference" in rubric.placeholders:
        raise InputError(f"--rubric {rubric.name}: EFT needs one score for one answer, without a reference: additive")
    return config.file, rubric


if __name__ == "__main__":
    run(Config, main, "python -m trainer.eft")
