"""Rewards in the forms that trainers ask for: OpenRLHF, verl, NeMo-Gym, and this project's own rows.

Sources: OpenRLHF 3c3be62 (2026-08-13), openrlhf/utils/agent.py:_fetch_rewards_via_http and openrlhf/cli/serve_rm.py.
verl 0.9, verl/experimental/reward_loop/reward_manager/remote.py, whose reward functions return a number or a dict with
`score`. NeMo-Gym (2026-08), nemo_gym/base_resources_server.py, BaseVerifyRequest and BaseVerifyResponse.

Each of these trainers takes a number for every answer, and has no way to say that there is none. An answer without a
verdict is then an error of the whole request. This project's own form has a null there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from console.errors import InputError
from judges.library import response_of
from judges.serve.inputs import chat_of, input_text, turns_of, without_end
from records import Judgment, Response
from records.shapes import responses_of

Body = dict[str, Any]
RowT = TypeVar("RowT")
ASKED_IN = ("prompt", "question", "query", "problem")
"""The fields of verl's `extra_info` in which data sets keep the prompt."""


@dataclass(frozen=True)
class Wanted:
    """The answers of a request, and the form of the reply."""

    responses: Sequence[Response]
    reply: Callable[[Sequence[Judgment]], Body]
    takes_null: bool = False
    """Whether an answer without a verdict has a place in the reply."""


def wanted(body: Body, most: int) -> Wanted:
    """Return what a request asks for, whichever form it has. Raises InputError for another form or too many answers."""
    if "query" in body and "solution_str" not in body:
        return _openrlhf(body, most)
    if "solution_str" in body:
        return _verl(body)
    if "responses_create_params" in body or ("response" in body and isinstance(body["response"], Mapping)):
        return _nemo_gym(body)
    return Wanted(each_of(body, most, responses_of), _own, takes_null=True)


def each_of(body: Body, most: int, rows_of: Callable[[Body], Iterable[RowT]]) -> list[RowT]:
    """Return what `rows_of` makes of each record of a request: those in `rows`, or the body itself.

    Raises InputError, naming the record, if one is wrong. It is raised too if there are more than `most` records, or
    if more than `most` rows are made of them.
    """
    records = body.get("rows", [body])
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputError("'rows' must be a list of objects")
    if not records:
        raise InputError("'rows' is empty")
    check_number(len(records), most, "rows")
    rows: list[RowT] = []
    for place, record in enumerate(records):
        try:
            rows += islice(rows_of(record), most + 1 - len(rows))  # two long lists of answers make millions of pairs
        except InputError as error:
            raise InputError(f"{f'rows[{place}]: ' if 'rows' in body else ''}{error}") from None
        if len(rows) > most:
            raise InputError(f"more than {most:,} answers or pairs in one request: send the rest apart")
    return rows


def check_number(n: int, most: int, what: str) -> None:
    """Raise InputError for more than `most` of something in one request."""
    if n > most:
        raise InputError(f"{n:,} {what} in one request, {most:,} are the most: send the rest apart")


def _own(judgments: Sequence[Judgment]) -> Body:
    errors = {str(place): judgment.error for place, judgment in enumerate(judgments) if judgment.score is None}
    return {"rewards": [judgment.score for judgment in judgments], "errors": errors}


def _openrlhf(body: Body, most: int) -> Wanted:
    queries, prompts = _texts(body, "query"), _texts(body, "prompts")
    check_number(len(queries), most, "query")
    labels = body.get("labels") or [None] * len(queries)
    if not isinstance(labels, list):
        raise InputError("'labels' must be a list, one for each query")
    if not len(queries) == len(prompts) == len(labels):
        raise InputError(f"one of each is needed: {len(queries)} query, {len(prompts)} prompts, {len(labels)} labels")
    rows = []
    for place, (query, prompt, label) in enumerate(zip(queries, prompts, labels, strict=True)):
        before, begins, answer = query.partition(prompt)
        if not begins or (before.strip() and len(before) > len(prompt)):
            raise InputError(f"query[{place}] does not begin with prompts[{place}], so its answer is not known")
        rows.append(
            response_of(chat_of(prompt), without_end(answer), label if isinstance(label, str) and label else None)
        )

    def reply(judgments: Sequence[Judgment]) -> Body:
        scores = [judgment.score for judgment in judgments]
        return {"rewards": scores, "scores": scores, "extra_logs": {}}

    return Wanted(rows, reply)


def _texts(body: Body, name: str) -> list[str]:
    texts = body.get(name)
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise InputError(f"'{name}' must be a list of texts, at least one and none of them empty")
    return texts


def _verl(body: Body) -> Wanted:
    given = body.get("extra_info")
    more = given if isinstance(given, Mapping) else {}
    prompt = body.get("prompt") or next((more[name] for name in ASKED_IN if more.get(name)), None)
    if not isinstance(body["solution_str"], str) or not isinstance(prompt, str | list):
        raise InputError(
            "'solution_str' must be text, and the prompt is looked for in 'prompt' and extra_info.question"
        )
    right = body.get("ground_truth")
    asked = prompt if isinstance(prompt, str) else turns_of(prompt, "prompt")
    row = response_of(asked, body["solution_str"], right if isinstance(right, str) and right else None)
    return Wanted([row], lambda judgments: {"score": judgments[0].score})


def _nemo_gym(body: Body) -> Wanted:
    given, response = body.get("responses_create_params"), body.get("response")
    if not isinstance(given, Mapping) or not isinstance(response, Mapping):
        raise InputError("'responses_create_params' and 'response' must be objects, as of NeMo-Gym's /verify")
    asked = given.get("input")
    if not isinstance(asked, str | list) or not asked:
        raise InputError("'responses_create_params.input', the prompt, must be text or a list of items, and not empty")
    prompt = asked if isinstance(asked, str) else turns_of(asked, "responses_create_params.input")
    row = response_of(prompt, output_text(response, "response"))
    return Wanted([row], lambda judgments: {**body, "reward": judgments[0].score})


def output_text(response: Mapping[str, Any], where: str) -> str:
    """Return the text of the last message in a response of OpenAI's Responses API, or nothing if it has none."""
    output = response.get("output")
    if not isinstance(output, list):
        raise InputError(f"{where}.output must be a list of items")
    messages = [item for item in output if isinstance(item, Mapping) and item.get("type", "message") == "message"]
    return input_text([{**item, "role": "assistant"} for item in messages[-1:]], f"{where}.output")
