"""Early stopping inside a run: the last checkpoint that beat the best before it becomes the iteration's model."""

import gc
import os
import shutil
from dataclasses import replace
from pathlib import Path

from console.progress import say
from judges.judging.judge import open_judge
from judges.rubrics.rubric import load_rubric
from records import Pair, Prompt
from records.keys import content_key
from records.runs import Run
from records.store import write_rows
from trainer.early_stop.options import PROMPTS, EarlyStopOptions
from trainer.early_stop.pick import answered, pick_checkpoint
from trainer.loop.held_out.work import pairwise
from trainer.loop.plan.work import Lengths, Work, answering_work, judging_work
from trainer.loop.recipe import Config
from trainer.runs.models import open_model
from trainer.training.checkpoints import Checkpoints, checkpoints_in
from trainer.training.lora.folder import relinked
from trainer.training.options import deciding, with_lora
from trainer.training.outcome import REPORT, curves_path, metrics_path


def checkpoints_of(run: Run, number: int, pairs: list[Pair], options: EarlyStopOptions, config: Config) -> Checkpoints:
    """Return where the training of iteration `number` saves its checkpoints."""
    key = content_key(
        "training", number, deciding(with_lora(config.dpo, config.lora)), config.round, config.seed, pairs
    )
    return Checkpoints(run.iteration(number) / "checkpoints", options.every_n_steps, key)


def take_best(
    run: Run, number: int, trained: Path, checkpoints: Checkpoints, stopping: list[Prompt], config: Config
) -> None:
    """Make the best checkpoint of iteration `number` its model. `trained` is the model at the end of training.

    Checkpoints are compared on `stopping`, because picking on reported prompts would inflate the reported win rate. The
    judge is the run's evaluation judge, or the parent if that one does not exist yet.
    """
    assert config.early_stop is not None
    if len(stopping) < config.early_stop.n_prompts:
        say(f"early stopping compares on {len(stopping)} prompts, because no more are left")
    judge_number = min(config.eval.judge, number - 1)
    # the judge and a checkpoint's model are in memory at once, and vLLM takes all that is free
    options = replace(config.engine, engine="transformers")
    engine = open_model(run, judge_number, options)
    judge = open_judge(engine, pairwise(config.judge, config.eval.rubric), config.seed)
    folder = run.iteration(number) / "early_stop"
    write_rows(folder / PROMPTS, stopping)
    answer = answered(folder, config.candidates.max_new_tokens, options, config.seed)
    # in the order of training, because each is compared with the best before it
    several = [*checkpoints_in(checkpoints.folder, checkpoints.key), trained]
    picked = pick_checkpoint(several, stopping, answer, judge, folder, config.early_stop, config.judge.min_coverage)
    del engine, judge
    gc.collect()
    _take(picked.path, trained, run.model(number))
    for path_of in (metrics_path, curves_path):
        if path_of(trained).exists():
            path_of(trained).replace(path_of(run.model(number)))
    shutil.rmtree(trained)  # only now: an interruption before finds it and need not train again


def stopping_work(name: str, n_steps: int, n_prompts: int, lengths: Lengths, config: Config) -> list[Work]:
    """Return the work of comparing the checkpoints of a training, each with the best before it."""
    assert config.early_stop is not None
    n_compared = n_steps // config.early_stop.every_n_steps
    n_questions, rubric = 2 * n_compared * n_prompts, load_rubric(config.eval.rubric)
    return [
        answering_work(f"{name} checkpoints' answers, at most", (n_compared + 1) * n_prompts, lengths),
        judging_work(
            f"{name} checkpoints compared, at most",
            n_questions,
            rubric,
            pairwise(config.judge, config.eval.rubric),
            lengths,
        ),
    ]


def _take(best: Path, trained: Path, out: Path) -> None:
    """Hard-link the files of `best` as `out`, with the report of the whole training."""
    partial = out.with_name(f"{out.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(best, partial, copy_function=os.link)
    # a hard link shares its bytes, so writing into it would change the checkpoint's own report
    (partial / REPORT).unlink(missing_ok=True)
    shutil.copy(trained / REPORT, partial / REPORT)
    relinked(partial, out)  # the best one lay deeper
    partial.rename(out)
