"""A reward from a tournament: the judge compares each two answers to a prompt in both orders."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engines.protocol import Engine
from judges.judging.judge import Judge, open_judge
from judges.judging.pairwise import both_orders_answered, compare, comparison_id
from judges.options import JudgeOptions
from judges.serve.groups import Place, standings, tournament
from records import Comparison, Message, Store
from trainer.ppo.rewards import RewardSource


@contextmanager
def open_tournament(
    engine: Engine, options: JudgeOptions, path: Path, group_size: int, seed: int
) -> Iterator[RewardSource]:
    """Open a tournament as a source of rewards, whose comparisons are kept in the file `path`.

    Answers come in groups of `group_size`, those to one prompt side by side.
    """
    judge = open_judge(engine, options, seed)
    with Store(path, Comparison, keep=both_orders_answered) as store:

        def reward(prompts: list[str | list[Message]], texts: list[str]) -> list[float | None]:
            starts = range(0, len(texts), group_size)
            return group_rewards(
                judge, store, [prompts[n] for n in starts], [texts[n : n + group_size] for n in starts]
            )

        yield RewardSource(f"tournament {judge.rubric.name}", reward, judge.fingerprint)


def group_rewards(
    judge: Judge, store: Store[Comparison], prompts: Sequence[str | list[Message]], groups: Sequence[Sequence[str]]
) -> list[float | None]:
    """Return the rewards of the answers of all groups, None for an answer whose tournament has a pair without verdict.

    All comparisons are asked for together, and those in `store` not again.
    """
    rounds = [
        tournament(prompt, answers, None, len(answers) ** 2) for prompt, answers in zip(prompts, groups, strict=True)
    ]
    contests = [contest for contests in rounds for contest in contests.values()]
    for comparison in compare(judge, contests, store.ids):
        store.append(comparison)
    ids = dict.fromkeys(comparison_id(judge, contest) for contest in contests)
    verdicts = {comparison.id: comparison for comparison in store.chosen(ids)}
    rewards: list[float | None] = []
    for answers, contests_of in zip(groups, rounds, strict=True):
        places: dict[Place, Comparison] = {
            place: verdicts[comparison_id(judge, contest)] for place, contest in contests_of.items()
        }
        rewards += [standing.reward for standing in standings(answers, places)]
    return rewards
