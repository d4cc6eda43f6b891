"""Turns ranked answers into conversations that teach judging (EFT: Self-Rewarding, arXiv 2401.10020, section 3.1)."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from judges.judging.judge import Judge
from judges.labelled.ranked import RankedAnswers, ordered_pairs
from judges.options import Reading
from judges.parsing.parse import parse_reply
from judges.parsing.verdict import all_samples, score_of
from judges.rubrics.rendering import fill
from judges.rubrics.rubric import Rubric
from records import Judgment, Message, text_of
from records.keys import content_key
from records.rows import Row

Agreement = Literal["prompt", "pair"]


class JudgeExample(Row, frozen=True, kw_only=True):
    """A conversation that shows how to judge one answer."""

    id: str
    prompt_id: str
    messages: list[Message]
    score: float
    """The score in the judge's turn."""
    rank: int
    """The answer's rank by people; 0 is the best."""


@dataclass(frozen=True)
class Attempt:
    """A reply of the judge to learn from."""

    score: float
    reply: str


def judge_chat(rubric: Rubric, read: Reading, prompt: str | list[Message], response: str, reply: str) -> list[Message]:
    """Return the question exactly as the judge will be asked it, with `reply` as its answer."""
    question = fill(rubric, read, {"prompt": text_of(prompt), "response": response})
    return [*question, {"role": "assistant", "content": reply}]


def score_line(rubric: Rubric, read: Reading, score: float) -> str:
    """Return the closing line of a reply with `score`. With log-probabilities it is the prefill and a choice."""
    if read == "logprobs":
        places = range(len(rubric.choice_values))
        nearest = min(places, key=lambda place: abs(rubric.choice_values[place] - score))
        return rubric.prefill(rubric.label) + rubric.logprobs.choices[nearest]
    word = min(rubric.values, key=lambda name: abs(rubric.values[name] - score)) if rubric.values else f"{score:g}"
    return f"{rubric.label}: {word}"


def from_ranks(ranked: RankedAnswers, rubric: Rubric, read: Reading) -> list[JudgeExample]:
    """Return an example for each answer with a score made from its rank, from the top of the scale to the bottom.

    Ranks in between are spaced evenly and rounded to the nearest of the rubric's choices, the lower one if two are
    equally near.
    """
    low, high = rubric.scale
    last = max(ranked.ranks)
    examples = []
    for place, rank in enumerate(ranked.ranks):
        score = nearest_choice(rubric, high - (high - low) * rank / last)
        line = score_line(rubric, read, score)
        reason = ranked.rationales[place] if ranked.rationales and read == "text" else ""
        examples.append(_example(ranked, place, rubric, read, Attempt(score, f"{reason}\n{line}".strip())))
    return examples


def nearest_choice(rubric: Rubric, value: float) -> float:
    """Return the value of the rubric's nearest choice, the lower one if two are equally near."""
    # Rounded, so that two equal distances are equal in floats too. `min` then takes the lower choice.
    return min(sorted(rubric.choice_values), key=lambda choice: round(abs(choice - value), 9))


def attempts_of(judgment: Judgment, judge: Judge) -> list[Attempt | None]:
    """Return the replies on one answer, ready to learn from; None for one without a verdict or a reason.

    With log-probabilities there is one reply: the choice nearest to the expected score.
    """
    if judge.read == "logprobs":
        if judgment.score is None:
            return [None]
        score = nearest_choice(judge.rubric, judgment.score)
        return [Attempt(score, score_line(judge.rubric, judge.read, score))]
    # A failed call keeps its place, because the n-th replies on a prompt's answers are one attempt.
    verdicts = all_samples(judgment)
    return [_attempt(verdict.reply or "", score_of([verdict], judge.how).value, judge.rubric) for verdict in verdicts]


def agreeing(ranked: RankedAnswers, scores: Sequence[float | None], agreement: Agreement) -> list[int]:
    """Return the places of the answers whose scores agree with people's ranking.

    `prompt` keeps all scored answers if no pair is ordered against the people and at least one as they ordered it.
    `pair` applies the rule to each answer's own pairs. Pairs that people tied do not count, and neither do ties of the
    judge or answers without a score.
    """
    right: Counter[int] = Counter()
    wrong: Counter[int] = Counter()
    for better, worse in ordered_pairs(ranked):
        high, low = scores[better], scores[worse]
        if high is None or low is None or high == low:
            continue
        (right if high > low else wrong).update((better, worse))
    scored = [place for place, score in enumerate(scores) if score is not None]
    if agreement == "prompt":
        return scored if right and not wrong else []
    return [place for place in scored if right[place] and not wrong[place]]


def from_judgments(
    ranked: RankedAnswers, attempts: Sequence[Sequence[Attempt | None]], judge: Judge, agreement: Agreement
) -> list[JudgeExample]:
    """Return the examples that the judge's own replies on one prompt give, with one list in `attempts` per answer.

    The n-th replies on all answers are one attempt at ranking them. The attempt that keeps the most answers wins, the
    first of several.
    """
    best: list[JudgeExample] = []
    for number in range(max(map(len, attempts))):
        tried = [
            attempts_on_answer[number] if number < len(attempts_on_answer) else None for attempts_on_answer in attempts
        ]
        places = agreeing(ranked, [attempt.score if attempt else None for attempt in tried], agreement)
        if len(places) > len(best):
            chosen = [(place, attempt) for place in places if (attempt := tried[place])]
            best = [_example(ranked, place, judge.rubric, judge.read, attempt) for place, attempt in chosen]
    return best


def resampled(examples: Sequence[JudgeExample], max_share: float, seed: int) -> list[JudgeExample]:
    """Return the examples, in their order, downsampled until no score has more than `max_share` of them.

    If there are too few scores for `max_share`, for example two for 0.4, each keeps as many as the rarest. The seed and
    the examples' ids alone decide which examples go.
    """
    counts = Counter(example.score for example in examples)
    share = max(max_share, 1 / len(counts)) if counts else max_share
    # A score keeps at most n examples. Allowed is every n at which no score has more than its share of what is kept.
    sizes = [n for n in range(1, max(counts.values(), default=0) + 1) if n <= share * _total(counts, n) + 1e-9]
    kept_ids: set[str] = set()
    for score in counts:
        drawn = sorted(
            (example.id for example in examples if example.score == score),
            key=lambda example_id: content_key(seed, example_id),
        )
        kept_ids.update(drawn[: max(sizes)])  # 1 is always allowed: `share` is at least 1 / classes
    return [example for example in examples if example.id in kept_ids]


def _total(counts: Counter[float], most: int) -> int:
    return sum(min(count, most) for count in counts.values())


def classes(examples: Iterable[JudgeExample]) -> dict[float, int]:
    """Return the number of examples per score, ascending."""
    return dict(sorted(Counter(example.score for example in examples).items()))


def _attempt(reply: str, score: float | None, rubric: Rubric) -> Attempt | None:
    """Return `reply` up to its score, or None without a score or without a word of reasoning before it."""
    if score is None:
        return None
    lines = reply.strip().split("\n")
    while len(lines) > 1 and parse_reply("\n".join(lines[:-1]), rubric).value == score:
        lines.pop()
    before = "\n".join(lines).lower().rpartition(rubric.label.lower())[0]
    return Attempt(score, "\n".join(lines).strip()) if re.search(r"\w", before) else None


def _example(ranked: RankedAnswers, place: int, rubric: Rubric, read: Reading, attempt: Attempt) -> JudgeExample:
    messages = judge_chat(rubric, read, ranked.prompt, ranked.responses[place], attempt.reply)
    return JudgeExample(
        id=content_key("eft", ranked.id, place, messages),
        prompt_id=ranked.id,
        messages=messages,
        score=attempt.score,
        rank=ranked.ranks[place],
    )
