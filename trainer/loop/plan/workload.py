"""The work of a whole loop, as its stages state it: calls, tokens read, tokens written and tokens trained on."""

from collections.abc import Sequence
from statistics import fmean

from records.rows import Message, Prompt, messages_of
from trainer.loop.gather import gathering_work
from trainer.loop.measure import measuring_work
from trainer.loop.plan.work import Count, Lengths, Work, by_characters, chat_tokens
from trainer.loop.prompts import new_prompts_work
from trainer.loop.recipe import Config
from trainer.loop.rounds import learning_work, supervised_work


def loop_work(
    config: Config, prompts: Sequence[Prompt], sft_chats: Sequence[Sequence[Message]], count: Count = by_characters
) -> list[Work]:
    """Return the work of all stages in order, from the settings, the seed prompts and the chats that iter1 learns."""
    n_prompt = round(fmean(chat_tokens(messages_of(p.prompt, p.system), count) for p in prompts)) if prompts else 0
    lengths = Lengths(n_prompt, config.candidates.max_new_tokens, config.engine.batch_size)
    works = [supervised_work(sft_chats, config.sft, count)]
    for number in range(2, config.iterations + 1):
        name = f"iter{number}"
        if config.new_prompts.source != "seeds":
            n_prompts, few_shot = config.candidates.prompts, config.new_prompts.few_shot
            works.append(new_prompts_work(f"{name} new prompts, at least", n_prompts, lengths, few_shot))
        works += gathering_work(name, lengths, config)
        works += learning_work(name, len(prompts), lengths, config)
    return [*works, *measuring_work(lengths, config)]
