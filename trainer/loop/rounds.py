"""One iteration of the loop: gathers its data, trains its model and returns its line in the ledger."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import fmean

from console.errors import TrainingError
from console.flags import in_section
from console.output import say
from console.writing import make_folder
from engines.models import inference_dtype
from engines.protocol import Engine
from judges.rubrics.rubric import load_rubric
from records import Judgment, Message, Pair, Prompt, Response, read_rows
from records.files import BadRows
from records.finish import cut_off
from records.rows import Chat, prompt_key
from records.runs import Run
from records.shapes import read_chats
from records.store import latest, write_rows
from trainer.dpo.options import DPOOptions
from trainer.dpo.train import train_dpo
from trainer.loop.best_checkpoint import checkpoints_of, take_best
from trainer.loop.gather import gather, pair_counts
from trainer.loop.grpo_round import rewarded_line, train_by_reward
from trainer.loop.recipe import Config, RoundOptions, as_trained
from trainer.monitors.gates import PAIRS_RIGHT, check_pair_order
from trainer.monitors.pair_order import PairOrder, order_of
from trainer.prompts.seeds.reading import eft_chats, ift_chats
from trainer.runs.integrity import check_model, set_aside_broken_model
from trainer.runs.ledger import LedgerLine, adapter_of, split_hash
from trainer.sft.train import train_sft
from trainer.training.checkpoints import Checkpoints
from trainer.training.launch import flags_of, launch
from trainer.training.outcome import figures_of, report_of

LAST = "last_model"
"""The model at the end of a training with early stopping. One at the usual place counts as the iteration's."""


def supervised_chats(config: Config) -> tuple[list[list[Message]], list[list[Message]]]:
    """Return the conversations that iter1 learns from: answers (IFT), and judging (EFT)."""
    ift = ift_chats(config.seeds.ift, config.seeds.codes, strict=config.strict)
    return _drawn(ift, config.seeds.ift_limit, "ift", config.seed), _judging_chats(config)


def supervised(run: Run, ift: list[list[Message]], eft: list[list[Message]], config: Config) -> LedgerLine:
    """Make iter1: the base model fine-tuned on answers (IFT) and on judging (EFT), the paper's M1."""
    started_s = time.monotonic()
    check_model(run, 0)
    out = run.model(1)
    set_aside_broken_model(out)
    if not out.exists():
        make_folder(out.parent)
        _sft(run.model(0), out, [*ift, *eft], config, "iter1 SFT")
    return LedgerLine(
        id="iter1",
        parent="iter0",
        reference_model=None,
        dtype=inference_dtype(run.model(0), config.engine.dtype),
        prompt_split=None,
        judge=None,
        counts={"ift": len(ift), "eft": len(eft)},
        mean_score=None,
        mean_chars=None,
        n_tokens=0,
        training=figures_of(report_of(out)),
        adapter=adapter_of(out),
        seconds=time.monotonic() - started_s,
    )


def preference_round(
    run: Run, number: int, prompts: list[Prompt], stopping: list[Prompt], config: Config, judge: Engine | None = None
) -> LedgerLine:
    """Make iter2 or a later one: the parent answers, its answers are judged, and it learns from them.

    `stopping` are the prompts that checkpoints are compared on; no figure is reported on them. `judge` is the judge's
    engine, if it is given, whichever judge the recipe names. Raises TrainingError if there is nothing to learn from, or
    if the gate on the round's pairs is not met.
    """
    started_s = time.monotonic()
    check_model(run, number - 1)
    by_reward = config.round.learn == "grpo"
    if not by_reward and not is_gathered(run, number, config.round):
        gather(run, number, prompts, config, judge)
    set_aside_broken_model(run.model(number))
    if by_reward:
        if not run.model(number).exists():
            train_by_reward(run, number, prompts, config, judge)
        return rewarded_line(run, number, prompts, config, time.monotonic() - started_s)
    if not run.model(number).exists():
        if PAIRS_RIGHT in config.gates:
            check_pair_order(number, _order(run, number, prompts).right, config.gates)
        _learn(run, number, _learnt_from(run, number, config.round), stopping, config)
    return _line(run, number, prompts, config, time.monotonic() - started_s)


def is_gathered(run: Run, number: int, options: RoundOptions) -> bool:
    """Return whether the training data of iteration `number` are there, so that nothing is left to judge."""
    return _learnt_from(run, number, options).exists()


def _judging_chats(config: Config) -> list[list[Message]]:
    """Return the conversations that show how to judge (EFT), as many as the recipe asks for."""
    seeds, judge = config.seeds, config.judge
    if not seeds.judging:
        return []
    chats = list(eft_chats(seeds.eft, load_rubric(judge.rubric), judge.read))
    return _drawn(chats, seeds.eft_limit, "eft", config.seed)


def _drawn(chats: list[list[Message]], n: int | None, kind: str, seed: int) -> list[list[Message]]:
    """Return `n` of the conversations, drawn by the seed, or all. Say so if there are fewer."""
    if n is None:
        return chats
    if n > len(chats):
        say(f"--seeds.{kind}-limit {n}: there are only {len(chats)} conversations")
    return Random(f"{kind} {seed}").sample(chats, min(n, len(chats)))


def _learnt_from(run: Run, number: int, options: RoundOptions) -> Path:
    if options.learn == "grpo":
        return run.model(number)  # the judge is asked until it is trained
    return run.iteration(number) / ("chats.jsonl" if options.learn == "perfect" else "pairs.jsonl")


def _learn(run: Run, number: int, learnt_from: Path, stopping: list[Prompt], config: Config) -> None:
    parent, out = run.model(number - 1), run.model(number)
    if config.round.learn == "perfect":
        # an empty file is an error for read_chats, with words that do not help here
        chats = list(read_chats(learnt_from, BadRows(strict=True))) if learnt_from.stat().st_size else []
        if not chats:
            raise TrainingError(
                f"iter{number}: no answer has a perfect score. Try --round.perfect-score, because an expected score "
                "hardly ever reaches the end of the scale"
            )
        _sft(parent, out, chats, config, f"iter{number} SFT")
        return
    pairs = list(read_rows(learnt_from, Pair))
    if not pairs:
        raise TrainingError(
            f"iter{number}: no prompt gave a preference pair: every answer to it got the same score or none, or the "
            "filters of [pairs] dropped it. Try more --candidates.n, a higher --candidates.temperature, "
            "--judge.read logprobs, or another judge"
        )
    # soft labels, because a pair's confidence is the consistency (CREAM, arXiv 2410.12735)
    options = config.dpo if config.round.consistency == "off" else replace(config.dpo, labels="soft")
    reference = run.model(0) if config.round.reference == "iter0" else None
    title = f"iter{number} DPO"
    if config.early_stop is None:
        _dpo(parent, out, pairs, options, config, title, reference)
        return
    trained, checkpoints = out.with_name(LAST), checkpoints_of(run, number, pairs, config.early_stop, config)
    set_aside_broken_model(trained)
    if not trained.exists():
        _dpo(parent, trained, pairs, options, config, title, reference, checkpoints)
    take_best(run, number, trained, checkpoints, stopping, config)


def _sft(parent: Path, out: Path, chats: Sequence[list[Message]], config: Config, title: str) -> None:
    """Fine-tune here, or with [launch] in a child process that reads the same chats from the iteration's folder."""
    options = as_trained(config.sft, config)
    with in_section("sft.", options):
        if config.launch is None:
            train_sft(parent, out, chats, options, config.seed, title)
            return
        file = out.with_name("chats.jsonl")
        write_rows(file, [chat.record() if isinstance(chat, Chat) else {"messages": chat} for chat in chats])
        _launch("trainer.sft", file, parent, out, flags_of(options), config, title)


def _dpo(
    parent: Path,
    out: Path,
    pairs: list[Pair],
    options: DPOOptions,
    config: Config,
    title: str,
    reference: Path | None,
    checkpoints: Checkpoints | None = None,
) -> None:
    """Train here, or with [launch] in a child process that reads the same pairs from the iteration's folder."""
    options = as_trained(options, config)
    with in_section("dpo.", options):
        if config.launch is None:
            train_dpo(parent, out, pairs, options, config.seed, title, reference, checkpoints)
            return
        flags = flags_of(options)
        if reference is not None:
            flags += ["--reference", str(reference)]
        if checkpoints is not None:
            flags += ["--checkpoints", str(checkpoints.folder), "--every-n-steps", str(checkpoints.every_n_steps)]
            flags += ["--checkpoint-key", checkpoints.key]
        _launch("trainer.dpo", out.with_name("pairs.jsonl"), parent, out, flags, config, title)


def _launch(module: str, file: Path, parent: Path, out: Path, flags: list[str], config: Config, title: str) -> None:
    assert config.launch is not None
    debug = ["--debug"] if config.debug else []
    shared = [str(file), "--strict", "--model", str(parent), "--out", str(out), "--seed", str(config.seed)]
    launch(config.launch, module, [*shared, *flags, *debug], title)


def _line(run: Run, number: int, prompts: list[Prompt], config: Config, seconds: float) -> LedgerLine:
    folder, parent = run.iteration(number), f"iter{number - 1}"
    responses = latest(read_rows(folder / "responses.jsonl", Response))
    judgments = latest(read_rows(folder / "judgments.jsonl", Judgment))
    scores = [judgment.score for judgment in judgments if judgment.score is not None]
    trained = report_of(run.model(number))
    perfect = config.round.learn == "perfect"
    return LedgerLine(
        id=f"iter{number}",
        parent=parent,
        reference_model=None if perfect else "iter0" if config.round.reference == "iter0" else parent,
        dtype=inference_dtype(run.model(0), config.engine.dtype),
        prompt_split=split_hash(prompts),
        judge=judgments[0].judge,
        counts={
            "prompts": len(prompts),
            "responses": len(responses),
            "failed": len(prompts) * config.candidates.n - len(responses),
            "cut_off": sum(cut_off(response.finish_reason) is not None for response in responses),
            "judged": len(scores),
            "unparsed": len(judgments) - len(scores),
            **_ruled_out(responses, judgments),
            **({"perfect": trained.n_examples} if perfect else _pair_counts(run, number, prompts, config)),
        },
        mean_score=fmean(scores),  # one at least, or nothing could have been learnt
        mean_chars=fmean(len(response.response) for response in responses),
        n_tokens=sum(response.n_tokens or 0 for response in responses),
        training=figures_of(trained),
        adapter=adapter_of(run.model(number)),
        seconds=seconds,
    )


def _ruled_out(responses: Sequence[Response], judgments: Sequence[Judgment]) -> dict[str, int]:
    """Return the number of prompts that were not judged, because the evidence allows no pair, if there are any."""
    n = len({prompt_key(response) for response in responses} - {prompt_key(judgment) for judgment in judgments})
    return {"ruled_out": n} if n else {}


def _pair_counts(run: Run, number: int, prompts: list[Prompt], config: Config) -> dict[str, int]:
    counts = pair_counts(run.iteration(number), config.round, config.pairs, config.seed)
    made = {"tied": counts.n_tied, "filtered": counts.n_filtered, "pairs": counts.n_pairs}
    order = _order(run, number, prompts)
    return made if order.right is None else made | {"pairs_right": order.n_right, "pairs_wrong": order.n_wrong}


def _order(run: Run, number: int, prompts: list[Prompt]) -> PairOrder:
    """Return the order of a round's pairs by the constraints of its prompts. There may be no pairs."""
    path = run.iteration(number) / "pairs.jsonl"
    return order_of(read_rows(path, Pair) if path.exists() else (), prompts)
