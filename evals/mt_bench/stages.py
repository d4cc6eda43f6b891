"""The stages that ask a model: it answers turn by turn, and the judge scores its answers or compares them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from engines.protocol import Engine, Sampling
from evals.comparing.asking import Asking, ask_answers
from evals.comparing.matching import stripped
from evals.comparing.there import answers_there
from evals.mt_bench.benchmark import temperature_of
from evals.mt_bench.files.questions import Answers, Question
from evals.mt_bench.options import Config
from records import Message, Prompt, Response

Texts = Mapping[str, tuple[str, ...]]
"""The answers by the ids of their questions, up to the first turn without one."""
Ask = Callable[[Sequence[Prompt], Sampling, Path, Asking], Sequence[Response]]
"""Returns the answers to prompts, with the file in which they are stored."""


def asking_of(config: Config) -> Asking:
    """Return the settings that answers and verdicts share."""
    return Asking(config.seed, config.fresh, config.scale)


def answer(engine: Engine, questions: Sequence[Question], folder: Path, config: Config) -> list[dict[str, Response]]:
    """Return the model's answers of each turn by the ids of the questions, without reasoning.

    They are stored in responses-turn-<n>.jsonl. The second turn is asked after the first answer, and only if there is
    one.
    """

    def ask(prompts: Sequence[Prompt], sampling: Sampling, path: Path, asking: Asking) -> Sequence[Response]:
        return ask_answers(engine, config.engine, prompts, sampling, path, asking)

    return _by_turn(ask, questions, folder, config)


def turns_there(questions: Sequence[Question], folder: Path, config: Config) -> list[dict[str, Response]]:
    """Return the answers of each turn that the model has written before. Asks nothing."""

    def there(prompts: Sequence[Prompt], sampling: Sampling, path: Path, _: Asking) -> Sequence[Response]:
        return list(
            answers_there(config.engine, prompts, sampling, path, seed=config.seed, fresh=config.fresh).values()
        )

    return _by_turn(there, questions, folder, config)


def _by_turn(ask: Ask, questions: Sequence[Question], folder: Path, config: Config) -> list[dict[str, Response]]:
    n_turns = max(len(question.turns) for question in questions)
    turns: list[dict[str, Response]] = []
    for turn in range(n_turns):
        so_far = [q for q in questions if turn < len(q.turns) and all(q.id in before for before in turns)]
        turns.append(_turn(ask, so_far, turns, folder, config))
    return turns


def texts_of(questions: Sequence[Question], turns: Sequence[Mapping[str, Response]]) -> dict[str, tuple[str, ...]]:
    """Return the texts of the model's answers."""
    texts: dict[str, tuple[str, ...]] = {}
    for question in questions:
        responses = [of_turn.get(question.id) for of_turn in turns]
        texts[question.id] = tuple(response.response for response in takewhile(bool, responses) if response)
    return texts


def own_texts_of(questions: Sequence[Question], answers: Answers) -> dict[str, tuple[str, ...]]:
    """Return the texts of a file's answers. An empty one is none."""
    every = {question.id: answers.by_id.get(question.id, ())[: len(question.turns)] for question in questions}
    return {name: tuple(takewhile(str.strip, (text or "" for text in turns))) for name, turns in every.items()}


def conversation(question: Question, texts: Sequence[str]) -> list[Message]:
    """Return the user's turns, each but perhaps the last one with the answer to it."""
    messages: list[Message] = []
    for place, turn in enumerate(question.turns[: len(texts) + 1]):
        messages.append({"role": "user", "content": turn})
        if place < len(texts):
            messages.append({"role": "assistant", "content": texts[place]})
    return messages


def asked_at(question: Question, texts: Sequence[str], turn: int) -> str | list[Message]:
    """Return what the model was asked at a turn, from 1: the request, or the conversation up to the second one."""
    return question.turns[0] if turn == 1 else conversation(question, texts[: turn - 1])


def temperature(question: Question, config: Config) -> float:
    """Return the temperature of the answers to a question."""
    return temperature_of(question.category) if config.temperature is None else config.temperature


def _turn(
    ask: Ask,
    questions: Sequence[Question],
    before: Sequence[Mapping[str, Response]],
    folder: Path,
    config: Config,
) -> dict[str, Response]:
    """Return the answers to one turn. Questions with one temperature are asked together."""
    path = folder / f"responses-turn-{len(before) + 1}.jsonl"
    asking = asking_of(config)
    answers: dict[str, Response] = {}
    for degree in dict.fromkeys(temperature(question, config) for question in questions):
        prompts = []
        for question in questions:
            if temperature(question, config) == degree:
                texts = [of_turn[question.id].response for of_turn in before]
                prompt = asked_at(question, texts, len(before) + 1)
                prompts.append(Prompt(id=question.id, prompt=prompt, source=question.category))
        sampling = Sampling(config.max_new_tokens, degree, config.top_p)
        responses = ask(prompts, sampling, path, asking)
        answers |= {response.prompt_id: stripped(response) for response in responses}
        asking = replace(asking, fresh=False)  # the first call has set the rows aside
    return answers
