"""The training set of a reward model: preference pairs and view pairs as tokens, without those that do not fit."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from console.errors import InputError, TrainingError
from console.progress import say
from engines.reward_model import chat_tokens
from records import Pair, text_of
from records.fields.messages import text_of_completion
from trainer.reward_model.columns import MARGIN, VIEWS, WEIGHT
from trainer.reward_model.views import ViewPair
from trainer.training.examples.held_out import held_out_places, prompt_key

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Example = dict[str, Any]
"""A row of the training set."""


def held_out_split(pairs: Sequence[Pair], share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs to train on and those to measure on. All pairs of a prompt are on the same side.

    A prompt's side depends on its text, the seed and the other prompts, not on the order of the file. Raises InputError
    for a share outside [0, 1), or if one side would have no prompt.
    """
    learnt, held_out = held_out_places([prompt_key(pair.prompt) for pair in pairs], share, seed, "--held-out-share")
    return [pairs[place] for place in learnt], [pairs[place] for place in held_out]


def check_margins(pairs: Sequence[Pair]) -> None:
    """Raise InputError if a pair lacks the margin that --margins needs."""
    n_without = sum(pair.margin is None or not 0 <= pair.margin < float("inf") for pair in pairs)
    if n_without:
        raise InputError(
            f"{n_without} of {len(pairs)} pairs have no margin of 0 or more, which --margins needs; make the pairs "
            "with trainer.pairs, or leave --margins out"
        )


def pair_examples(
    tokenizer: "PreTrainedTokenizerBase", pairs: Sequence[Pair], max_length: int, *, margins: bool
) -> list[Example]:
    """Return the examples of the pairs that can be learned from. The others are counted on stderr.

    A pair is left out if an answer is empty, if both answers are the same tokens, or if one is over `max_length`,
    because a cut answer is not the answer that was ranked. Raises TrainingError if none is left.
    """
    weighted = len({pair.weight for pair in pairs}) > 1
    examples: list[Example] = []
    left_out: Counter[str] = Counter()
    for pair in pairs:
        answers = [text_of_completion(answer) for answer in (pair.chosen, pair.rejected)]
        chosen, rejected = (chat_tokens(tokenizer, pair.prompt, answer) for answer in answers)
        if reason := _flaw(answers, chosen, rejected, max_length):
            left_out[reason] += 1
            continue
        example: Example = {
            "prompt": text_of(pair.prompt),
            "chosen": answers[0],
            "prompt_ids": [],  # part of chosen_ids, because trainer.training.watch finds an example by both
            "chosen_ids": chosen,
            "rejected_ids": rejected,
        }
        extra = {WEIGHT: float(pair.weight)} if weighted else {}
        extra |= {MARGIN: float(pair.margin)} if margins and pair.margin is not None else {}
        examples.append(example | extra)
    for reason, n in left_out.most_common():
        say(f"{n} of {len(pairs)} pairs left out: {reason}")
    if not examples:
        raise TrainingError(f"no preference pair to train on: {left_out.most_common(1)[0][0]}")
    if weighted and not any(example[WEIGHT] for example in examples):
        raise TrainingError("the weight of every usable preference pair is 0: there is nothing to train on")
    return examples


def with_views(
    tokenizer: "PreTrainedTokenizerBase",
    examples: list[Example],
    samples: Sequence[ViewPair],
    n_each: int,
    max_length: int,
) -> list[Example]:
    """Return `examples`, each with the next `n_each` view pairs. If there are too few, they are used again in order.

    View pairs over `max_length` are left out and counted on stderr. Raises TrainingError if fewer than 2 are left.
    """
    views = [[chat_tokens(tokenizer, view.prompt, view.response) for view in pair] for pair in samples]
    fitting = [pair for pair in views if all(len(tokens) <= max_length for tokens in pair)]
    if n_long := len(views) - len(fitting):
        say(f"{n_long} of {len(views)} view pairs left out: over max_length ({max_length} tokens)")
    if len(fitting) < 2:
        raise TrainingError(f"{len(fitting)} view pairs of the policy's answers to learn from; at least 2 are needed")
    n_needed = len(examples) * n_each
    if n_needed != len(fitting):
        say(f"{n_needed} view pairs are used per epoch, of {len(fitting)}")
    dealt = [fitting[place % len(fitting)] for place in range(n_needed)]
    return [example | {VIEWS: dealt[n * n_each : (n + 1) * n_each]} for n, example in enumerate(examples)]


def set_padding(tokenizer: "PreTrainedTokenizerBase", examples: Sequence[Example]) -> None:
    """Give the tokenizer right padding and a padding token that no example ends with.

    A sequence classifier reads the reward at the last token that is not the padding token. If the template closes with
    that token, for example because a tokenizer without one pads with its end-of-text token, the reward would be read a
    token too early. Raises InputError if there is no such token.
    """
    endings = {example[name][-1] for example in examples for name in ("chosen_ids", "rejected_ids")}
    candidates = [tokenizer.pad_token, tokenizer.eos_token, tokenizer.unk_token, *tokenizer.all_special_tokens]
    for token in candidates:
        if token is not None and tokenizer.convert_tokens_to_ids(token) not in endings:
            tokenizer.pad_token, tokenizer.padding_side = token, "right"
            return
    raise InputError("the only special token that the tokenizer could pad with ends its chat template; add a pad token")


def _flaw(answers: Sequence[str], chosen: list[int], rejected: list[int], max_length: int) -> str | None:
    if not all(answer.strip() for answer in answers):
        return "an answer is empty"
    if chosen == rejected:
        return "the chosen and the rejected answer are the same"
    if max(len(chosen), len(rejected)) > max_length:
        return f"an answer is over max_length ({max_length} tokens with its prompt)"
    return None
