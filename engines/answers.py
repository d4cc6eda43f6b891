"""Asks a model to answer prompts: prompts in, response rows out."""

from collections.abc import Collection, Iterator, Sequence

import msgspec

from console.flags import spelled
from console.progress import say
from engines.advice import more_room
from engines.protocol import Completion, Engine, Request, Sampling
from engines.served.identity import refuse_or_say, silence_of
from records import Prompt, Response, Store, messages_of
from records.fields.messages import readable
from records.finish import at_token_limit, cut_off
from records.keys import content_key, derived_seed
from records.reasoning import answer_span
from records.stage import complete


def answer_into(
    store: Store[Response],
    engine: Engine,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    *,
    n: int = 1,
    seed: int = 0,
    model: str | None = None,
    title: str = "answering",
) -> list[Response]:
    """Return `n` responses to each prompt, in order, asking only for those that `store` does not hold yet.

    Each response has a seed of its own, fixed by `seed`, the prompt and its number. `model` is the name that the rows
    carry. A prompt that the model cannot answer, because it is too long, its call failed or the reply is no answer
    (`why_no_answer`), is named on stderr and left out. The next call asks again.
    """
    rows = [unwritten(engine, prompt, sampling, seed, number, model) for prompt in prompts for number in range(n)]
    wanted = [row.id for row in rows]
    check_said(store, engine, wanted)
    answers = complete(store, wanted, written(store, engine, rows, sampling), title)
    say_unanswered(len(set(wanted)) - len(answers), len(set(wanted)), title)
    return answers


def say_unanswered(n_missing: int, n: int, title: str) -> None:
    """Say how many of `n` answers are missing, if any is."""
    if n_missing:
        say(f"{title}: {n_missing} of {n} answers are missing; the same command asks for them again")


def check_said(store: Store[Response], engine: Engine, wanted: Collection[str]) -> None:
    """Raise InputError if `store` may have the answers under a model description that the server no longer gives."""
    silence = silence_of(engine)
    # One id that is there shows that its rows were written under the same description.
    if silence is None or store.is_empty or not set(wanted).isdisjoint(store.known_ids()):
        return
    what = f"{store.path}: may have the answers of {engine.name}, from when its server said what it serves"
    refuse_or_say(what, silence)


def why_no_answer(completion: Completion, room: str = "raise --max-new-tokens") -> str | None:
    """Return why a completion is no answer to judge or to learn from, or None if it is one.

    A completion at its longest length is an answer. One that a filter or a failure ended is none. Reasoning without an
    end is none either, and `room` is the advice for it. An empty text that a model in process ended is its answer.
    """
    if completion.error:
        return completion.error
    reason = cut_off(completion.finish_reason)
    if reason and not at_token_limit(reason):
        return f"the reply ended with {reason}"
    span = answer_span(completion.text)
    if span is None:
        return f"the reply stops inside its reasoning; {room}"
    if completion.text.strip() and not completion.text[span].strip():
        return "the reply has only reasoning"
    return None


def unwritten(
    engine: Engine, prompt: Prompt, sampling: Sampling, seed: int, number: int, model: str | None
) -> Response:
    """Return the row of a prompt's response with this `number`, still without its text."""
    row_seed = derived_seed(seed, prompt.id, number)
    settings = (sampling.max_new_tokens, sampling.temperature, sampling.top_p, sampling.stop)
    return Response(
        id=content_key("response", engine.digest, prompt.prompt, prompt.system, settings, row_seed),
        prompt_id=prompt.id,
        prompt=prompt.prompt if prompt.system is None else messages_of(prompt.prompt, prompt.system),
        response="",
        model=model or engine.name,
        seed=row_seed,
        constraints=prompt.constraints,
        constraints_error=prompt.constraints_error,
    )


def written(store: Store[Response], engine: Engine, rows: Sequence[Response], sampling: Sampling) -> Iterator[Response]:
    """Yield `rows` with their texts as they are written, those that `store` lacks. Those without an answer are said."""
    requests = [Request(messages_of(row.prompt), row.seed or 0) for row in rows]
    done = {index for index, row in enumerate(rows) if row.id in store}
    room = more_room(getattr(engine, "thinking_tokens", None), sampling.max_new_tokens)
    for completion in engine.generate(requests, sampling, done):
        row = rows[completion.index]
        if reason := why_no_answer(completion, room):
            say(spelled(f"no answer to prompt {row.prompt_id}: {reason}"))
            continue
        yield msgspec.structs.replace(
            row,
            response=readable(completion.text),
            finish_reason=completion.finish_reason,
            n_tokens=completion.n_tokens,
            end=completion.end,
        )
