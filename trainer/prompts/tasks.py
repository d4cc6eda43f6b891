"""Extracts the tasks from a completion that continues a list of tasks.

A model trained to answer does not stop at the list. It also answers the tasks, at the end or after each one
(Self-Rewarding, appendix A.5). The answers are cut and the tasks are kept.
"""

import re
from dataclasses import dataclass, field

BEFORE = r"^[\s>#*_\[(-]*"
KIND = r"(?:task|instruction|question|prompt|q)\s*"
MARKER = re.compile(
    rf"{BEFORE}(?P<kind>{KIND})?\#?(?P<number>\d{{1,3}})\s*[*_]*\s*(?(kind)[.:)\]]*|[.:)\]]+)[*_]*(?:\s+(?P<text>.*))?$",
    re.IGNORECASE,
)
BULLET = re.compile(r"^[-*•–] (?P<text>.+)$")
ALL_ANSWERS = re.compile(
    rf"{BEFORE}(?:(?:here|these|below|now|and)\b[^:.]{{0,40}}?\s)?(?:(?:the|my|possible|sample|example|model)\s+)*"
    r"(?:answers|solutions|responses|replies|outputs|completions)"
    r"(?:\b[^:.]{0,60}:|\s+(?:to|for)\s+[^:.]{0,60}$|\s*[*_#]*\s*$)",
    re.IGNORECASE,
)
ONE_ANSWER = re.compile(
    rf"{BEFORE}(?:(?:(?:example|sample|possible|model|correct)\s+)?(?:answer|solution|response|reply|output|completion)"
    rf"\s*(?:(?:to|for)\s+)?(?:{KIND})?\#?\d*\s*[*_\])]*\s*(?::|\.(?=\s)|$)|a\s*\d*\s*:)[*_]*\s*(?P<text>.*)$",
    re.IGNORECASE,
)
INLINE_ANSWER = re.compile(r"(?<=[.?!\"”')])\s+[*_(\[]*(?:Answer|Solution|Response|A)\s*\d*\s*[*_]*:")
BOLD = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
QUOTED = re.compile(r"[\"“](?P<text>[^\"“”]+)[\"”]\.?")


@dataclass(frozen=True)
class TaskList:
    """The tasks of one completion."""

    tasks: list[str]
    n_cut_off: int
    """1 if the completion ended within its last task, which is left out."""
    n_answers: int
    """Places at which text other than a task, mostly an answer, was cut."""


def read_tasks(text: str, *, cut_off: bool = False) -> TaskList:
    """Return the tasks in a completion, in order.

    If `cut_off`, the completion ended at the token limit, and a last task that it ended within is left out. A task is
    its line with the lines directly below it. Text after an empty line, a heading such as "Answer 3:", or numbers that
    start again is no task until the numbering continues. After "Answers:" nothing is a task.
    """
    lines = [" ".join(line.split()) for line in text.splitlines()]
    numbered = any(MARKER.match(line) for line in lines)
    reader = _Reader()
    for line in lines:
        marker = MARKER.match(line)
        if reader.tasks and not marker and ALL_ANSWERS.match(line):
            reader.skip()
            break
        if reader.tasks and (answer := ONE_ANSWER.match(line)):
            reader.answer(answer["text"])
        elif marker:
            reader.number(int(marker["number"]), marker["text"] or "")
        elif not numbered and (bullet := BULLET.match(line)):
            reader.task(len(reader.tasks) + 1, bullet["text"])
        else:
            reader.text(line)
    n_cut_off = int(cut_off and reader.inside)
    task_lines = reader.tasks[: len(reader.tasks) - n_cut_off]
    split = [INLINE_ANSWER.split("\n".join(task).strip(), maxsplit=1) for task in task_lines]
    tasks = [task for parts in split if (task := _cleaned(parts[0]))]
    return TaskList(tasks, n_cut_off, reader.n_answers + sum(len(parts) > 1 for parts in split))


@dataclass
class _Reader:
    """The state of reading a list line by line."""

    tasks: list[list[str]] = field(default_factory=list)
    """The lines of each task."""
    last: int | None = None
    """The number of the last task."""
    inside: bool = False
    """Whether the previous line belongs to a task."""
    skipping: bool = False
    """Whether other text has come after the last task."""
    item: int | None = None
    """The number of the last item of another list, such as one in an answer."""
    n_answers: int = 0

    def task(self, number: int, text: str) -> None:
        self.tasks.append([text])
        self.last, self.inside, self.skipping, self.item = number, True, False, None

    def skip(self) -> None:
        self.n_answers += not self.skipping
        self.inside, self.skipping = False, True

    def number(self, number: int, text: str) -> None:
        """Take a line that opens with a number: the next task, or an item of a list in an answer or below a task."""
        within_list = self.item is not None and number == self.item + 1
        if self.last is None or (number == self.last + 1 and not within_list):
            self.task(number, text)
        else:
            self.skip()
            self.item = number

    def answer(self, text: str) -> None:
        """Take the first line of an answer, which may also be the first item of a list."""
        self.skip()
        marker = MARKER.match(text)
        self.item = int(marker["number"]) if marker else None

    def text(self, line: str) -> None:
        """Take any other line. An empty one ends a task that has begun."""
        begun = bool(self.tasks) and any(self.tasks[-1])  # a task may begin with an empty line after its number
        if not line:
            self.inside = self.inside and not begun
        elif self.inside:
            self.tasks[-1].append(line)
        elif begun:
            self.skip()


def _cleaned(task: str) -> str:
    plain = BOLD.sub(r"\2", task).strip()
    whole = QUOTED.fullmatch(plain)
    return whole["text"].strip() if whole else plain
