"""Some held-out prompts with the answers of the base model and of the last iteration, side by side.

The prompts are drawn with the run's seed and nothing else, so that nobody picks the ones that look best.
"""

import io
from random import Random

from console.visible import visible
from judges.tools.constraints.rows import CheckedConstraint
from records import Prompt, Response, read_rows
from records.rows import Row, request_text
from records.runs import Run
from trainer.loop.held_out.files import answers_path, checks_path, prompts_path
from trainer.monitors.following import CheckedAnswer

N_SHOWN = 3
MAX_LINES = 14
"""The most lines of one answer on the screen."""


class ShownAnswer(Row, frozen=True, kw_only=True):
    """The first answer of an iteration to a prompt, and what a program found in it."""

    iteration: int
    response: str
    follows: bool | None
    """Whether it follows all constraints of the prompt. None without constraints, or if that is not known."""
    checks: list[CheckedConstraint]


class Example(Row, frozen=True, kw_only=True):
    """A held-out prompt with two answers."""

    prompt_id: str
    prompt: str
    base: ShownAnswer
    last: ShownAnswer


def drawn_examples(run: Run, last: int, seed: int) -> list[Example]:
    """Return up to three held-out prompts that both models answered, drawn with the seed.

    Only prompts with constraints are drawn if there are any, because the others have no verdict to show.
    """
    prompts = list(read_rows(prompts_path(run), Prompt))
    base, later = _first_answers(run, 0), _first_answers(run, last)
    answered = [prompt for prompt in prompts if prompt.id in base and prompt.id in later]
    asked = [prompt for prompt in answered if prompt.constraints] or answered
    drawn = Random(f"examples {seed}").sample(asked, min(N_SHOWN, len(asked)))
    return [
        Example(prompt_id=prompt.id, prompt=request_text(prompt.prompt), base=base[prompt.id], last=later[prompt.id])
        for prompt in drawn
    ]


def rule_of(examples: list[Example], seed: int) -> str:
    """Return how the examples were chosen, to be printed above them."""
    which = " with constraints" if examples and examples[0].base.checks else ""
    prompts = "1 held-out prompt" if len(examples) == 1 else f"{len(examples)} held-out prompts"
    return f"{prompts}{which}, drawn with seed {seed}, and the first answer of each model:"


def side_by_side(example: Example, width: int) -> str:
    """Return the prompt, both answers in columns, and what each follows and breaks, in lines of at most `width`."""
    from rich.console import Console  # here, because rich takes a moment to load
    from rich.table import Table
    from rich.text import Text

    def column(answer: ShownAnswer) -> Text:
        lines = list(Text(visible(answer.response).strip() or "(no text)").wrap(console, each))
        if len(lines) > MAX_LINES:
            lines[MAX_LINES - 1 :] = [Text("[...]")]
        return Text("\n").join([*lines, Text(), *(Text(line) for line in verdict(answer))])

    each = (width - 3) // 2  # 3 blanks between the columns
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(Text(f"prompt: {visible(example.prompt)}"))
    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False)
    for answer in (example.base, example.last):
        table.add_column(Text(f"iter{answer.iteration}\n{'-' * each}"), width=each, overflow="fold")
    table.add_row(column(example.base), column(example.last))
    console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())  # rich fills each cell with blanks


def verdict(answer: ShownAnswer) -> list[str]:
    """Return a line for an answer that does what is asked, or a line for each constraint that it breaks."""
    if not answer.checks:
        return []
    if answer.follows:
        return ["-> does what is asked"]
    broken = [
        f"-> broken: {check.reason.removesuffix(': it does not')}"
        for check in answer.checks
        if check.strict == "broken"
    ]
    unknown = [f"-> not checked: {check.reason}" for check in answer.checks if check.strict is None]
    return [*broken, *unknown]


def _first_answers(run: Run, number: int) -> dict[str, ShownAnswer]:
    responses = {row.id: row for row in read_rows(answers_path(run, number), Response)}
    first: dict[str, ShownAnswer] = {}
    for row in read_rows(checks_path(run, number), CheckedAnswer):  # in the order of the answers to a prompt
        if row.prompt_id not in first:
            first[row.prompt_id] = ShownAnswer(
                iteration=number,
                response=responses[row.response_id].response,
                follows=row.follows,
                checks=row.checks,
            )
    return first
