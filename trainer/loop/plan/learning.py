"""The work of a run's trainings."""

from collections.abc import Iterator, Sequence

from records import Message
from trainer.dpo.options import DPOOptions
from trainer.loop.best_checkpoint import stopping_work
from trainer.loop.plan.work import Count, Lengths, Work, by_characters, chat_tokens, optimiser_steps
from trainer.loop.recipe import CandidateOptions, Config
from trainer.loop.splits import count_stopping
from trainer.sft.options import SFTOptions
from trainer.training.examples.held_out import (
    SHARE_FLAG,
    held_out_places,
    n_held_out,
    n_validations,
    opening_of,
    prompt_key,
)

PAIRS = " pairs"
"""Ends the name of the stage that learns from pairs, of which a prompt gives one at most."""


def supervised_work(chats: Sequence[Sequence[Message]], config: Config, count: Count = by_characters) -> Work:
    """Return the work of iter1's fine-tuning on `chats`.

    Raises InputError if there are too few prompts to hold some out for validation.
    """
    options, keys = config.sft, [prompt_key(opening_of(chat)) for chat in chats]
    share = options.validation_share if chats else 0.0  # none are read again once iter1 is made
    learnt, validating = held_out_places(keys, share, config.seed, f"--sft.{SHARE_FLAG[2:]}")
    lengths = [min(chat_tokens(chat, count), options.max_length) for chat in chats]
    n_steps = optimiser_steps(len(learnt), options)
    return Work(
        "iter1 SFT",
        "train",
        n_trained=sum(lengths[place] for place in learnt) * options.epochs,
        n_reference=sum(lengths[place] for place in validating) * n_validations(n_steps, options),
        n_steps=n_steps,
        n_widest=options.micro_batch_size * max(lengths, default=0),
        training=options,
    )


def learning_work(name: str, n_seeds: int, lengths: Lengths, config: Config) -> Iterator[Work]:
    """Yield the work of a round's training and of comparing its checkpoints."""
    if config.round.learn == "perfect":
        yield _sft_work(f"{name} SFT", config.candidates, lengths, config.sft)
        return
    dpo = _dpo_work(f"{name} DPO", config.candidates.prompts, lengths, config.dpo)
    yield dpo
    if config.early_stop is not None:
        yield from stopping_work(name, dpo.n_steps, count_stopping(n_seeds, config), lengths, config)


def _sft_work(stage: str, candidates: CandidateOptions, lengths: Lengths, options: SFTOptions) -> Work:
    n_validating = candidates.n * n_held_out(candidates.prompts, options.validation_share)
    n_learnt = candidates.n * candidates.prompts - n_validating
    n_answer = min(lengths.prompt + lengths.answer, options.max_length)
    n_steps = optimiser_steps(n_learnt, options)
    return Work(
        f"{stage}, at most {n_learnt} answers",
        "train",
        n_trained=n_learnt * n_answer * options.epochs,
        n_reference=n_validating * n_answer * n_validations(n_steps, options),
        n_steps=n_steps,
        n_widest=options.micro_batch_size * n_answer,
        training=options,
    )


def _dpo_work(stage: str, n_pairs: int, lengths: Lengths, options: DPOOptions) -> Work:
    n_validating = n_held_out(n_pairs, options.validation_share)
    n_learnt = n_pairs - n_validating
    n_pair = 2 * min(lengths.prompt + lengths.answer, options.max_length)
    n_steps = optimiser_steps(n_learnt, options)
    return Work(
        f"{stage}, at most {n_learnt}{PAIRS}",
        "train",
        n_trained=n_learnt * n_pair * options.epochs,
        n_reference=(n_pairs + n_validating * n_validations(n_steps, options)) * n_pair,
        n_steps=n_steps,
        n_widest=options.micro_batch_size * n_pair,
        training=options,
    )
