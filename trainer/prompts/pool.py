"""The pool of prompts: takes completions in a fixed order and accepts their new tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from records import Message, Prompt
from records.finish import cut_off
from records.keys import content_key
from records.rows import Row
from trainer.prompts.contamination import EvaluationPrompts, key_of
from trainer.prompts.filters import text_fault
from trainer.prompts.options import FilterOptions
from trainer.prompts.rouge import RougeIndex
from trainer.prompts.tasks import read_tasks

SHOWN = 5


class Draft(Row, frozen=True, kw_only=True):
    """One raw completion: a list of tasks, or the reason why there is none."""

    id: str
    batch: int
    number: int
    """The completion's number within its batch."""
    prompt: list[Message]
    text: str
    finish_reason: str | None
    n_tokens: int
    model: str
    seed: int
    error: str | None


class Contaminated(msgspec.Struct, frozen=True):
    """A task too similar to an evaluation prompt."""

    task: str
    how: str
    evaluation_prompt: str


@dataclass
class Counts:
    """The counts of completions and of their tasks; n_tasks = n_accepted + the sum of dropped."""

    n_completions: int = 0
    n_failed: int = 0
    n_without_list: int = 0
    n_cut_off: int = 0
    n_answers: int = 0
    n_tokens: int = 0
    n_tasks: int = 0
    n_accepted: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    contaminated: list[Contaminated] = field(default_factory=list)
    """The first few of them."""


class Pool:
    """Seeds, used prompts and accepted tasks. The same drafts in the same order give the same pool."""

    def __init__(
        self,
        seeds: Sequence[str],
        used: Sequence[str],
        evaluation: EvaluationPrompts,
        options: FilterOptions,
        n: int,
    ) -> None:
        self.accepted: list[Prompt] = []
        self.counts = Counts()
        self._n, self._options, self._evaluation = n, options, evaluation
        self._known = dict.fromkeys(map(key_of, seeds), "duplicate") | dict.fromkeys(map(key_of, used), "used before")
        self._index = RougeIndex(options.max_rouge, [*seeds, *used])

    @property
    def is_full(self) -> bool:
        """Whether as many tasks are accepted as were asked for."""
        return len(self.accepted) >= self._n

    def take(self, draft: Draft) -> None:
        """Count `draft` and accept those of its tasks that are new prompts, until the pool is full."""
        counts = self.counts
        counts.n_completions += 1
        counts.n_tokens += draft.n_tokens
        if draft.error:
            counts.n_failed += 1
            return
        task_list = read_tasks(draft.text, cut_off=cut_off(draft.finish_reason) is not None)
        counts.n_without_list += not task_list.tasks
        counts.n_cut_off += task_list.n_cut_off
        counts.n_answers += task_list.n_answers
        for task in task_list.tasks:
            if self.is_full:
                return
            counts.n_tasks += 1
            if fault := self._fault(task):
                counts.dropped[fault] = counts.dropped.get(fault, 0) + 1
            else:
                self._accept(task, draft.model)

    def _fault(self, task: str) -> str | None:
        """Return why `task` is no new prompt, or None. Cheap checks come first."""
        if fault := text_fault(task, self._options) or self._known.get(key_of(task)):
            return fault
        if resemblance := self._evaluation.found_in(task):
            self.counts.contaminated = [*self.counts.contaminated, Contaminated(task, *resemblance)][:SHOWN]
            return "evaluation prompt"
        return "similar" if self._index.nearest(task) else None

    def _accept(self, task: str, model: str) -> None:
        self.accepted.append(Prompt(id=content_key("prompt", task), prompt=task, source=f"self-instruct {model}"))
        self._known[key_of(task)] = "duplicate"
        self._index.add(task)
        self.counts.n_accepted += 1
