"""Makes the models of one seed's arms with the stages of trainer.rlp, sharing what several arms have in common."""

import gc
from dataclasses import replace
from pathlib import Path

from engines.answers import answer_into
from engines.local.transformers_engine import TransformersEngine
from engines.models import model_digest
from engines.protocol import Sampling
from experiments.rlp_truth.arms import ARMS, PPO, Arm, Size
from experiments.rlp_truth.labeller import labelled
from experiments.rlp_truth.recipe import recipe
from experiments.world.data import prepare, prompts_of
from experiments.world.sizes import Seeds
from experiments.world.sizes import Size as WorldSize
from records import Response, Store
from records.keys import derived_seed
from records.runs import Run, link_base_model
from records.store import write_atomic, write_rows
from trainer.prompts.seeds.reading import ift_chats
from trainer.rlp.splits import RLPSplit
from trainer.rlp.stages import on_policy, optimised, supervised
from trainer.sft.train import train_sft

LABELLED, UNLABELLED, HELD_OUT = "iter2", "iter3", "held_out"
"""The instructions' names in the world's own files."""


def run_arm(arm: Arm, name: str, size: Size, seeds: Seeds, seed: int) -> Run:
    """Return the run with the models of an arm, making those that are missing."""
    # no prompts to label: the labels come from a file
    split = RLPSplit([], prompts_of(seeds, UNLABELLED)[: size.unlabelled], prompts_of(seeds, HELD_OUT))
    first = _first(size, seeds, seed, split)
    if arm.iteration == 1:
        return first
    config = recipe(arm, size, seeds, seed)
    if arm.again:
        config = replace(config, seed=derived_seed(seed, "again"))
    # PPO's run is the first one, in whose iter2 the other arms find their policy
    run = first if name == PPO else Run(seeds.folder / name)
    if arm.iteration == 3:
        run_arm(ARMS[PPO], PPO, size, seeds, seed)  # the policy whose samples retrain the reward model
        _share(first, run, (1, 2))
        if not run.model(3).exists():
            # from the arm that drew them first, and below for the arms to come
            _copy_samples(seeds.folder / "samples", run.iteration(3))
            on_policy(run, split, config)
            _copy_samples(run.iteration(3), seeds.folder / "samples")
    else:
        _share(first, run, (1,))
        if not run.model(2).exists():
            optimised(run, split, config)
    return run


def prepare_seed(seeds: Seeds, size: Size, seed: int) -> None:
    """Make M0 and the instructions of a seed."""
    prepare(seeds, WorldSize(model=size.model, ift=size.ift, eft=1, prompts=size.prompts, held_out=size.held_out), seed)


def _first(size: Size, seeds: Seeds, seed: int, split: RLPSplit) -> Run:
    """Return the run with SFT and the first reward model, from which all arms start."""
    run, config = Run(seeds.folder / PPO), recipe(ARMS[PPO], size, seeds, seed)
    link_base_model(run, seeds.base)
    if not run.model(1).exists():
        run.iteration(1).mkdir(parents=True, exist_ok=True)
        train_sft(run.model(0), run.model(1), ift_chats(config.seeds.ift, config.seeds.codes), config.sft, seed, "SFT")
    if not seeds.file("labelled").exists():
        answers = answers_of(run.model(1), seeds, LABELLED, 2, size, seed)
        write_rows(seeds.file("labelled"), labelled(answers, size.length_weight))
    if not (run.iteration(1) / "reward.json").exists():
        supervised(run, split, config)
    return run


def answers_of(model: Path, seeds: Seeds, prompts: str, n: int, size: Size, seed: int) -> list[Response]:
    """Return `n` answers of a model to each of the seed's instructions called `prompts`, drawing them once."""
    folder = seeds.folder / "measured" / model_digest(model)
    engine = TransformersEngine.load(model, "model", 128)
    with Store(folder / f"{prompts}.jsonl", Response) as store:
        sampling = Sampling(size.max_new_tokens, 1.0, 1.0)
        responses = answer_into(store, engine, prompts_of(seeds, prompts), sampling, n=n, seed=seed, title="answers")
    del engine
    gc.collect()
    return responses


def _copy_samples(source: Path, target: Path) -> None:
    """Copy the policy's samples and their rewards, with which every retraining begins, for another arm."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("responses.jsonl", "judgments.jsonl"):
        if (source / name).exists() and not (target / name).exists():
            write_atomic(target / name, (source / name).read_bytes())


def _share(first: Run, run: Run, numbers: tuple[int, ...]) -> None:
    """Link iterations of the first run into another one."""
    if run.folder == first.folder:
        return
    run.folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        link = run.iteration(number)
        if not link.exists():
            link.symlink_to(first.iteration(number).resolve(), target_is_directory=True)
