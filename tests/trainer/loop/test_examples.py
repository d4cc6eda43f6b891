"""Two answers side by side: what fits a page, and what is said about each."""

from rich.cells import cell_len

from judges.tools.constraints.rows import CheckedConstraint, Outcome
from trainer.loop.examples import MAX_LINES, Example, ShownAnswer, rule_of, side_by_side, verdict


def check(outcome: Outcome | None, reason: str) -> CheckedConstraint:
    return CheckedConstraint(kind="kind", strict=outcome, loose=outcome, reason=reason)


def shown(number: int, text: str, *checks: CheckedConstraint, follows: bool | None = None) -> ShownAnswer:
    return ShownAnswer(iteration=number, response=text, follows=follows, checks=list(checks))


def example(base: str, last: str) -> Example:
    right = shown(3, last, check("followed", "it is short"), follows=True)
    wrong = shown(0, base, check("broken", "it is short: it does not"), check(None, "nobody knows"), follows=False)
    return Example(prompt_id="p", prompt="Say it.\nBe short.", base=wrong, last=right)


def test_answers_stand_side_by_side_with_what_was_found() -> None:
    lines = side_by_side(example("a long answer\nof two lines", "short"), 80).splitlines()
    assert lines[:2] == ["prompt: Say it.", "Be short."]
    assert lines[2].split() == ["iter0", "iter3"] and lines[4].split() == ["a", "long", "answer", "short"]
    assert lines[5].split()[:3] == ["of", "two", "lines"]
    assert lines[-2].split("   ")[0] == "-> broken: it is short" and lines[-1] == "-> not checked: nobody knows"
    assert "-> does what is asked" in "\n".join(lines)


def test_wide_letters_long_words_and_controls_stay_inside_their_column() -> None:
    text = side_by_side(example("答" * 100, "x" * 300 + "\x1b[31m [red]"), 80)
    assert all(cell_len(line) <= 80 for line in text.splitlines())
    assert text.count("答") == 100 and text.count("x") == 300 and "\x1b" not in text and "[red]" in text


def test_a_long_answer_is_cut_where_everyone_sees_it() -> None:
    lines = side_by_side(example("line\n" * 50, "short"), 80).splitlines()
    assert sum(line.startswith("line") for line in lines) == MAX_LINES - 1
    assert any(line.startswith("[...]") for line in lines)


def test_an_answer_without_text_or_constraints_says_so_and_no_more() -> None:
    assert verdict(shown(0, "free")) == [] and "(no text)" in side_by_side(example("", "x"), 80)
    plain = Example(prompt_id="p", prompt="Hi", base=shown(0, "a"), last=shown(1, "b"))
    assert rule_of([plain], 7) == "1 held-out prompt, drawn with seed 7, and the first answer of each model:"
