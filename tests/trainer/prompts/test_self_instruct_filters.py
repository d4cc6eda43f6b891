from dataclasses import replace
from pathlib import Path

import pytest

from console.errors import InputError
from records import text_of
from records.files import BadRows
from records.shapes import read_prompts
from trainer.prompts.contamination import EvaluationPrompts
from trainer.prompts.filters import check_filters, is_foreign, text_fault
from trainer.prompts.options import FilterOptions
from trainer.prompts.pool import Draft, Pool

OPTIONS = FilterOptions()


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        ("Name a king", "too short"),
        ("Name a famous king.", None),
        (" ".join(["Describe", *["a very nice day"] * 37, "now"]), None),
        (" ".join(["Describe", *["a very nice day"] * 37, "now", "please"]), "too long"),
        ("Describe what the Picture shows in words.", "keyword"),
        ("Describe two images of the old town.", "keyword"),
        ("Please go  to the shop and buy bread.", "keyword"),
        ("Tell me how a profile of photographs is drawn.", None),
        ("Write a program that sorts numbers quickly.", "program"),
        ("Write a programme for a village concert.", "program"),
        ("Explain how to write a program that sorts.", None),
        ("(Describe) what the weather is like today.", "first character"),
        ("Éclairs are nice: describe how they taste.", "first character"),
        ("Summarise the following paragraph in a sentence:", "incomplete"),
        ("Schreibe ein kurzes Gedicht über den Herbst.", "language"),
        ("Écris une courte histoire sur un chat perdu.", "first character"),
        ("Dame tres consejos para dormir mejor por la noche.", "language"),
    ],
)
def test_a_task_is_dropped_for_its_text(task: str, fault: str | None) -> None:
    assert text_fault(task, OPTIONS) == fault


def test_another_language_can_be_asked_for_or_none() -> None:
    german, spanish = (
        "Schreibe ein kurzes Gedicht über den Herbst.",
        "¿Cuáles son las causas de la Primera Guerra Mundial?",
    )
    assert text_fault(german, replace(OPTIONS, language="de")) is None
    assert text_fault(spanish, replace(OPTIONS, language="es")) is None
    assert text_fault(german, replace(OPTIONS, language="any")) is None
    assert text_fault("Write a short poem about autumn.", replace(OPTIONS, language="de")) == "language"


def test_no_real_english_instruction_is_taken_for_another_language(data: Path) -> None:
    texts = [text_of(p.prompt) for p in read_prompts(data / "self-instruct/seed_tasks.jsonl", BadRows())]
    assert len(texts) == 175 and not any(is_foreign(text, "en") for text in texts)


FOREIGN = (
    "Nenne drei gute Gründe.", "Dame tres consejos para dormir.", "Dammi cinque idee nuove.", "Escreva um poema curto.",
    "Geef drie tips om beter te slapen.", "Jaka jest stolica Australii?", "Donne-moi une recette de pain.",
)  # fmt: skip


@pytest.mark.parametrize("text", FOREIGN)
def test_even_a_short_text_in_another_language_is_told(text: str) -> None:
    assert is_foreign(text, "en")


@pytest.mark.parametrize("text", ["Converting 85 F to Celsius.", "Converting 85 F to Fahrenheit.", 'Write "Test"'])
def test_a_short_english_text_of_names_and_numbers_passes(text: str) -> None:
    assert not is_foreign(text, "en")


@pytest.mark.parametrize(
    "options",
    [
        FilterOptions(min_words=0),
        FilterOptions(min_words=9, max_words=8),
        FilterOptions(max_rouge=0),
        FilterOptions(max_rouge=1.1),
        FilterOptions(language="klingon"),
    ],
)
def test_settings_out_of_range_are_refused(options: FilterOptions) -> None:
    with pytest.raises(InputError, match="must be (at least|from|in)|--language"):
        check_filters(options)


def draft(*tasks: str, finish: str = "stop", error: str | None = None) -> Draft:
    text = "\n".join(f"{number}. {task}" for number, task in enumerate(tasks, start=9))
    fields = {"text": text, "finish_reason": finish, "error": error}
    return Draft(id="x", batch=0, number=0, prompt=[], n_tokens=7, model="m", seed=0, **fields)


def pool(n: int = 10) -> Pool:
    evaluation = EvaluationPrompts(["Which planet is the largest of all?"], 0.7)
    return Pool(["Name a famous king of England."], ["Tell me a joke about cats."], evaluation, OPTIONS, n)


def test_each_task_is_counted_once_under_the_first_reason() -> None:
    filled = pool()
    filled.take(
        draft(
            "Name a famous king of england",
            "Tell me a joke about cats!",
            "Tell me a good joke about cats.",
            "Which planet is the largest of all",
            "Describe the taste of ripe tomatoes.",
            "Describe the taste of ripe tomatoes!",
            "Describe the taste of very ripe tomatoes.",
            "Too short",
        )
    )
    counts = filled.counts
    assert [p.prompt for p in filled.accepted] == ["Describe the taste of ripe tomatoes."]
    assert filled.accepted[0].source == "self-instruct m"
    assert counts.dropped == {
        "duplicate": 2, "used before": 1, "similar": 2, "evaluation prompt": 1, "too short": 1,
    }  # fmt: skip
    assert counts.n_tasks == counts.n_accepted + sum(counts.dropped.values()) == 8
    [shown] = counts.contaminated
    assert (shown.how, shown.evaluation_prompt) == ("the same text", "Which planet is the largest of all?")


def test_a_full_pool_takes_no_more() -> None:
    filled = pool(n=1)
    filled.take(draft("Describe the taste of ripe tomatoes.", "Explain why the sea is salty."))
    assert filled.is_full and filled.counts.n_tasks == 1


@pytest.mark.parametrize("finish", ["max_tokens", "content_filter"])
def test_the_last_task_of_a_list_that_was_cut_off_for_any_reason_is_left_out(finish: str) -> None:
    filled = pool()
    filled.take(draft("Describe the taste of ripe tomatoes.", "Explain why the sea is", finish=finish))
    assert (filled.counts.n_cut_off, filled.counts.n_accepted) == (1, 1)


def test_failed_empty_and_cut_completions_are_counted() -> None:
    filled = pool()
    filled.take(draft(error="call failed: busy"))
    filled.take(draft())
    filled.take(draft("Describe the taste of ripe tomatoes.", "Explain why the sea is", finish="length"))
    counts = filled.counts
    assert (counts.n_completions, counts.n_failed, counts.n_without_list, counts.n_cut_off) == (3, 1, 1, 1)
    assert counts.n_accepted == counts.n_tasks == 1 and counts.n_tokens == 21
