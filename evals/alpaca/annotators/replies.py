"""An annotator's replies: asked of a server, stored as they come, and asked again if they give no preference."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import openai

from console.errors import EngineError
from console.progress import progress
from engines.options import EngineOptions
from records import Store
from records.keys import content_key
from records.rows import Row

NOT_SENT = ("model_name", "max_tokens", "num_procs", "batch_size", "price_per_token", "requires_chatml", "is_strip")
MAX_TOKENS, TEMPERATURE, TOP_P = 2048, 0.7, 1.0
"""The package's own defaults for what a configuration leaves out."""
MAX_RETRIES = 4
LASTING = (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError)
"""Errors that no other call would not meet."""
SHOWN = 200


class AnnotatorReply(Row, frozen=True, kw_only=True):
    """One reply of an annotator, as the package's parsers take it."""

    id: str
    annotator: str
    model: str
    prompt: str
    settings: dict[str, Any]
    choice: dict[str, Any]
    """The server's choice with its text and log-probabilities, as `openai_completions` of the package returns it."""
    preferences: list[float | None]
    """What the package's parser makes of it, before sides that were exchanged are exchanged back."""


@dataclass
class Replies:
    """Asks one annotator's prompts, and stands in the place of the package's `fn_completions`."""

    store: Store[AnnotatorReply]
    annotator: str
    client: openai.OpenAI
    options: EngineOptions
    model: str | None
    """In place of the configuration's."""
    parse: Callable[[dict[str, Any]], list[float | None]]
    to_chat: Callable[[str], list[dict[str, Any]]]
    failures: Counter[str] = field(default_factory=Counter)
    """Calls that failed, by reason. Their prompts have no preference, and the next run asks them again."""

    def __call__(self, prompts: Sequence[str], model_name: str, **settings: Any) -> dict[str, list[Any]]:
        """Return the choices for the prompts, in order, with those that failed empty."""
        asked = self.model or model_name
        sent = {name: value for name, value in settings.items() if name not in NOT_SENT}
        sent = {"temperature": TEMPERATURE, "top_p": TOP_P, **sent}
        sent["max_tokens"] = settings.get("max_tokens", MAX_TOKENS)
        by_id = {content_key("annotation", asked, prompt.strip(), sorted(sent.items())): prompt for prompt in prompts}
        self._ask(by_id, asked, sent)
        known = {row.id: row.choice for row in self.store.chosen(by_id)}
        empty: dict[str, Any] = {"text": "", "total_tokens": 0}
        choices = [
            known.get(content_key("annotation", asked, prompt.strip(), sorted(sent.items())), empty)
            for prompt in prompts
        ]
        zeros = [0.0] * len(choices)
        texts = [choice["text"] for choice in choices]
        return {
            "completions": texts, "completions_all": choices, "price_per_example": zeros, "time_per_example": zeros
        }  # fmt: skip

    def _ask(self, by_id: dict[str, str], model: str, sent: dict[str, Any]) -> None:
        todo = {row_id: prompt for row_id, prompt in by_id.items() if row_id not in self.store.ids}
        in_row = 0
        title = f"{self.annotator} by {model}"
        with (
            progress(title, len(by_id), len(by_id) - len(todo)) as advance,
            ThreadPoolExecutor(self.options.concurrency) as pool,
        ):
            calls = {pool.submit(self._choice, prompt, model, sent): row_id for row_id, prompt in todo.items()}
            try:
                for call in as_completed(calls):
                    row = self._row(call, calls[call], by_id, model, sent)
                    in_row = 0 if row else in_row + 1
                    if row is not None:
                        self.store.append(row)
                        advance(1)
                    self._check(in_row)
            finally:
                for call in calls:
                    call.cancel()

    def _choice(self, prompt: str, model: str, sent: dict[str, Any]) -> dict[str, Any]:
        """Return a choice in the package's form: with `text`, the arguments of a tool if one is called."""
        messages: Any = self.to_chat(prompt)
        reply: Any = self.client.chat.completions.create(messages=messages, model=model, **sent)
        choice: dict[str, Any] = reply.choices[0].model_dump(mode="json")
        message = choice["message"]
        tools = message.get("tool_calls") or []
        called = message.get("function_call") or (tools[0]["function"] if tools else None)
        # the package's word for an empty reply
        choice["text"] = called["arguments"] if called else message.get("content") or " "
        choice["total_tokens"] = reply.usage.total_tokens if reply.usage else 0
        return choice

    def _row(
        self, call: "Future[dict[str, Any]]", row_id: str, by_id: dict[str, str], model: str, sent: dict[str, Any]
    ) -> AnnotatorReply | None:
        try:
            choice = call.result()
        except LASTING as error:
            raise EngineError(
                f"{model}: the server refuses every call ({error.status_code}): {_shown(error)}"
            ) from None
        except (openai.OpenAIError, ValueError, IndexError, TypeError, AttributeError) as error:
            self.failures[_shown(error)] += 1
            return None
        preferences = self.parse(choice)
        return AnnotatorReply(
            id=row_id, annotator=self.annotator, model=model, prompt=by_id[row_id], settings=sent, choice=choice,
            preferences=preferences,
        )  # fmt: skip

    def _check(self, in_row: int) -> None:
        most = self.options.max_failures_in_row
        if most and in_row >= most:
            why = self.failures.most_common(1)[0][0]
            raise EngineError(
                f"{self.annotator}: {in_row} calls in a row failed, most often: {why}; what came is stored, and the "
                "same command goes on"
            )


def has_preference(row: AnnotatorReply) -> bool:
    """Return whether a stored reply gives a preference to each of its pairs. Others are asked for again."""
    return bool(row.preferences) and all(value is not None and math.isfinite(value) for value in row.preferences)


def _shown(error: Exception) -> str:
    return " ".join(str(error).split())[:SHOWN] or type(error).__name__
