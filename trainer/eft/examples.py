"""From ranked answers to conversations that teach judging (EFT: Self-Rewarding, arXiv 2401.10020, section 3.1)."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from judges.judging.judge import Judge
from judges.labelled.ranked import RankedAnswers, ordered_pairs
from judges.options import Reading
from judges.parsing.parse import parse_reply
from judges.parsing.verdict import all_said, score_of
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
    """What the judge's turn ends with."""
    rank: int
    """Where people ranked the answer; 0 is the best."""


@dataclass(frozen=True)
class Attempt:
    """One reply of the judge that can be learnt from."""

    score: float
    reply: str


def judge_chat(rubric: Rubric, read: Reading, prompt: str | list[Message], response: str, reply: str) -> list[Message]:
    """Return the question in the form in which the judge will be asked it, and `reply` as its answer."""
    question = fill(rubric, read, {"prompt": text_of(prompt), "response": response})
    return [*question, {"role": "assistant", "content": reply}]


def score_line(rubric: Rubric, read: Reading, score: float) -> str:
    """Return the line that a reply with `score` ends with; with log-probabilities it is the prefill and a choice."""
    if read == "logprobs":
        places = range(len(rubric.choice_values))
        nearest = min(places, key=lambda place: abs(rubric.choice_values[place] - score))
        return rubric.prefill(rubric.label) + rubric.logprobs.choices[nearest]
    word = min(rubric.values, key=lambda name: abs(rubric.values[name] - score)) if rubric.values else f"{score:g}"
    return f"{rubric.label}: {word}"


def from_ranks(ranked: RankedAnswers, rubric: Rubric, read: Reading) -> list[JudgeExample]:
    """Return an example for each answer whose score is its rank: the best the top of the scale, the worst the bottom.

    The ranks between lie evenly between, each at the nearest of the rubric's choices, the lower one of two.
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
    """Return the value of the rubric's choice that is nearest, the lower one of two."""
    return min(sorted(rubric.choice_values), key=lambda choice: round(abs(choice - value), 9))


def attempts_of(judgment: Judgment, judge: Judge) -> list[Attempt | None]:
    """Return the replies on one answer as they would be learnt; None for one without a verdict or without a reason.

    With log-probabilities there is one: the choice nearest to the expected score.
    """
    if judge.read == "logprobs":
        if judgment.score is None:
            return [None]
        score = nearest_choice(judge.rubric, judgment.score)
        return [Attempt(score, score_line(judge.rubric, judge.read, score))]
    # With a place for a sample whose call failed: the n-th replies on a prompt's answers are one attempt.
    said = all_said(judgment)
    return [_attempt(one.reply or "", score_of([one], judge.how).value, judge.rubric) for one in said]


def agreeing(ranked: RankedAnswers, scores: Sequence[float | None], agreement: Agreement) -> list[int]:
    """Return the places of the answers that are kept, because their scores order them as people did.

    `prompt` keeps all scored answers where no pair is ordered against the people and at least one pair as they did;
    `pair` asks the same of each answer's own pairs. Pairs that people tied do not count, pairs that the judge ties
    speak neither for nor against, and an answer without a score is in no pair.
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
    """Return the examples that the judge's own replies on one prompt make, an answer in `attempts` each.

    The n-th replies on all answers are one attempt at ranking them. The attempt that keeps the most answers is taken,
    the first of several.
    """
    best: list[JudgeExample] = []
    for number in range(max(map(len, attempts))):
        tried = [mine[number] if number < len(mine) else None for mine in attempts]
        kept = agreeing(ranked, [one.score if one else None for one in tried], agreement)
        if len(kept) > len(best):
            chosen = [(place, one) for place in kept if (one := tried[place])]
            best = [_example(ranked, place, judge.rubric, judge.read, one) for place, one in chosen]
    return best


def resampled(examples: Sequence[JudgeExample], max_share: float, seed: int) -> list[JudgeExample]:
    """Return the examples, in their order, without so many of the commonest scores that none has more than its share.

    Where there are too few scores for `max_share`, say two for 0.4, each keeps as many as the rarest. Which examples go
    depends on the seed and their ids alone.
    """
    counts = Counter(example.score for example in examples)
    share = max(max_share, 1 / len(counts)) if counts else max_share
    sizes = [n for n in range(1, max(counts.values(), default=0) + 1) if n <= share * _total(counts, n) + 1e-9]
    kept: set[str] = set()
    for score in counts:
        drawn = sorted((one.id for one in examples if one.score == score), key=lambda row: content_key(seed, row))
        kept.update(drawn[: max(sizes)])
    return [example for example in examples if example.id in kept]


def _total(counts: Counter[float], most: int) -> int:
    return sum(min(count, most) for count in counts.values())


def classes(examples: Iterable[JudgeExample]) -> dict[float, int]:
    """Return how many examples there are of each score, ascending."""
    return dict(sorted(Counter(example.score for example in examples).items()))


def _attempt(reply: str, score: float | None, rubric: Rubric) -> Attempt | None:
    """Return `reply` up to its score; None where there is no score, or no word before it that could be a reason."""
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
