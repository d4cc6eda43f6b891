"""One iteration of the loop. Each stage reads files and writes a file, so a round goes on where it was stopped."""

import gc
import time
from pathlib import Path
from random import Random
from statistics import fmean

from console.errors import TrainingError
from engines.answers import answer_into
from engines.protocol import Sampling
from judges.evidence import evidence_path, finish_with, gather_into, open_checked_judge, open_evidence, was_checked
from judges.judge import Judge, check_coverage, had_a_reply, judge_into, open_judge
from judges.rubric import load_rubric
from records import Judgment, Pair, Prompt, Response, Store, read_rows
from records.runs import Run
from records.store import latest, write_rows
from trainer.dpo import train_dpo
from trainer.ledger import LedgerLine
from trainer.pairs import make_pairs
from trainer.recipe import Config
from trainer.seeds import eft_chats, ift_chats
from trainer.sft import train_sft
from trainer.splits import split_hash
from trainer.training import Trained, report_of


def supervised(run: Run, config: Config) -> LedgerLine:
    """Make iter1: the base model fine-tuned on answers (IFT) and on judging (EFT), the paper's M1."""
    started_s = time.monotonic()
    ift = ift_chats(config.seeds.ift, strict=config.strict)
    eft = list(eft_chats(config.seeds.eft, load_rubric(config.judge.rubric), config.judge.read))
    if config.seeds.eft_limit is not None:
        eft = Random(f"eft {config.seed}").sample(eft, min(config.seeds.eft_limit, len(eft)))
    out = run.model(1)
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        train_sft(run.model(0), out, [*ift, *eft], config.sft, config.seed, "iter1 SFT")
    return LedgerLine(
        id="iter1",
        parent="iter0",
        reference_model=None,
        prompt_split=None,
        judge=None,
        counts={"ift": len(ift), "eft": len(eft)},
        mean_score=None,
        mean_chars=None,
        n_tokens=0,
        training=_figures(report_of(out)),
        seconds=time.monotonic() - started_s,
    )


def preference_round(run: Run, number: int, prompts: list[Prompt], config: Config) -> LedgerLine:
    """Make iter2 and later: the parent answers, judges its answers, and learns from the pairs with DPO."""
    started_s = time.monotonic()
    folder = run.iteration(number)
    if not (folder / "pairs.jsonl").exists():
        _gather(run, number, prompts, config)
    pairs = list(read_rows(folder / "pairs.jsonl", Pair))
    if not pairs:
        raise TrainingError(
            f"iter{number}: no prompt gave a preference pair: every answer to it got the same score or none. Try more "
            "--candidates.n, a higher --candidates.temperature, --judge.read logprobs, or another judge"
        )
    if not run.model(number).exists():
        train_dpo(run.model(number - 1), run.model(number), pairs, config.dpo, config.seed, f"iter{number} DPO")
    return _line(run, number, prompts, config, time.monotonic() - started_s)


def _gather(run: Run, number: int, prompts: list[Prompt], config: Config) -> None:
    """Write prompts, responses, judgments and, last, pairs of one round."""
    from engines.transformers_engine import TransformersEngine

    folder, parent = run.iteration(number), f"iter{number - 1}"
    write_rows(folder / "prompts.jsonl", prompts)
    engine = TransformersEngine.load(run.model(number - 1), parent, config.engine.batch_size)
    options = config.candidates
    sampling = Sampling(options.max_new_tokens, options.temperature, options.top_p)
    with Store(folder / "responses.jsonl", Response) as answers:
        responses = answer_into(
            answers, engine, prompts, sampling, n=options.n, seed=config.seed, title=f"iter{number} candidates"
        )
    judge = open_judge(engine, config.judge, config.seed)
    judgments = _judgments(folder / "judgments.jsonl", judge, responses, config, f"iter{number} judging")
    check_coverage(judgments, config.judge.min_coverage)
    pairs, _ = make_pairs(judgments, config.pairs)
    write_rows(folder / "pairs.jsonl", pairs)
    del engine, judge
    gc.collect()  # the trainer needs the memory


def _judgments(path: Path, judge: Judge, responses: list[Response], config: Config, title: str) -> list[Judgment]:
    if not config.evidence.enabled:
        with Store(path, Judgment, keep=had_a_reply) as store:
            return judge_into(store, judge, responses, title)
    judge, agent = open_checked_judge(judge, config.evidence)
    with open_evidence(evidence_path(path)) as found, Store(path, Judgment, keep=was_checked) as store:
        gather_into(found, agent, [responses], len(responses))
        return judge_into(store, judge, responses, title, finish_with(found, agent, judge))


def _line(run: Run, number: int, prompts: list[Prompt], config: Config, seconds: float) -> LedgerLine:
    folder, parent = run.iteration(number), f"iter{number - 1}"
    responses = latest(read_rows(folder / "responses.jsonl", Response))
    judgments = latest(read_rows(folder / "judgments.jsonl", Judgment))
    _, counts = make_pairs(judgments, config.pairs)
    scores = [judgment.score for judgment in judgments if judgment.score is not None]
    return LedgerLine(
        id=f"iter{number}",
        parent=parent,
        reference_model=parent,
        prompt_split=split_hash(prompts),
        judge=judgments[0].judge,
        counts={
            "prompts": len(prompts),
            "responses": len(responses),
            "failed": len(prompts) * config.candidates.n - len(responses),
            "judged": len(scores),
            "unparsed": counts.n_unscored,
            "tied": counts.n_tied,
            "filtered": counts.n_too_few + counts.n_refuted,
            "pairs": counts.n_pairs,
        },
        mean_score=fmean(scores),
        mean_chars=fmean(len(response.response) for response in responses),
        n_tokens=sum(response.n_tokens or 0 for response in responses),
        training=_figures(report_of(run.model(number))),
        seconds=seconds,
    )


def _figures(trained: Trained) -> dict[str, float]:
    return {"examples": trained.n_examples, "steps": trained.n_steps, "loss": trained.loss, **trained.metrics}


def link_base_model(run: Run, base: Path) -> None:
    """Make iter0/model point to the base model; a copy of the weights would only take space."""
    link = run.model(0)
    if link.exists():
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)  # a link whose target is gone
    link.symlink_to(base.resolve(), target_is_directory=True)
