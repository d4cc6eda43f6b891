"""The work of a whole loop, as its stages state it: calls, tokens read, tokens written and tokens trained on."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean

from records.rows import Message, Prompt, messages_of
from records.runs import Run
from trainer.loop.gather import gathering_work
from trainer.loop.grpo_round import rewarded_work
from trainer.loop.held_out.files import metrics_path
from trainer.loop.held_out.work import measuring_work
from trainer.loop.plan.learning import learning_work, supervised_work
from trainer.loop.plan.left import left_of, not_answered, numbers_to_make
from trainer.loop.plan.work import Count, Lengths, Work, by_characters, chat_tokens, together
from trainer.loop.prompts import new_prompts_work
from trainer.loop.recipe import Config


def loop_work(
    config: Config,
    prompts: Sequence[Prompt],
    sft_chats: Sequence[Sequence[Message]],
    count: Count = by_characters,
    run: Run | None = None,
) -> list[Work]:
    """Return the rows of the plan, from the settings, the seed prompts and the chats that iter1 learns.

    With `run` it is the work that is left of that run.
    """
    return together(list(stages(config, prompts, sft_chats, count, run)))


def stages(
    config: Config,
    prompts: Sequence[Prompt],
    sft_chats: Sequence[Sequence[Message]],
    count: Count = by_characters,
    run: Run | None = None,
) -> Iterator[Work]:
    """Yield the work of all stages in the order in which they run, with `run` what is left of it."""
    n_prompt = round(fmean(chat_tokens(messages_of(p.prompt, p.system), count) for p in prompts)) if prompts else 0
    lengths = Lengths(n_prompt, config.candidates.max_new_tokens, config.engine.batch_size)
    n_measured, to_make = 0, numbers_to_make(config, run)
    for number in range(1, config.iterations + 1):
        if number in to_make:
            making = _making(number, len(prompts), sft_chats, lengths, config, count)
            yield from making if run is None else left_of(making, run, number, config)
        if number >= config.eval.judge:
            for measured in range(n_measured, number + 1):  # all before the judge's iteration at once, then one each
                works = measuring_work(measured, lengths, config)
                if run is None:
                    yield from works
                elif not metrics_path(run, measured).exists():
                    yield from (left for work in works for left in not_answered(work, run))
            n_measured = number + 1


def _making(
    number: int,
    n_seeds: int,
    sft_chats: Sequence[Sequence[Message]],
    lengths: Lengths,
    config: Config,
    count: Count,
) -> Iterator[Work]:
    if number == 1:
        yield supervised_work(sft_chats, config, count)
        return
    name = f"iter{number}"
    if config.new_prompts.source != "seeds":
        n_prompts, few_shot = config.candidates.prompts, config.new_prompts.few_shot
        work = new_prompts_work(f"{name} new prompts, at least", n_prompts, lengths, few_shot)
        yield replace(work, files=(f"{name}/prompts.jsonl",), n_results=n_prompts)
    if config.round.learn == "grpo":
        yield from rewarded_work(number, lengths, config)
        return
    yield from gathering_work(number, lengths, config)
    yield from learning_work(name, n_seeds, lengths, config)
