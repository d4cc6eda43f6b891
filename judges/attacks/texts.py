"""Texts of the packaged attacks, aimed at a rubric."""

import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from judges.rubrics.rubric import Rubric, json_key
from records import Prompt, Response, read_rows

HERE = Path(__file__).parent


class Attack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text that asks for a verdict that it does not deserve."""

    name: str
    family: str
    target: Literal["template", "parser", "model"]
    """The part of the judge that it is aimed at."""
    text: str
    alone: bool = False
    """Whether the text is the whole answer. If not, it follows a useless one."""


class _Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    useless: str
    attack: list[Attack]


@cache
def _suite() -> _Suite:
    return msgspec.convert(tomllib.loads((HERE / "suite.toml").read_text(encoding="utf-8")), _Suite)


def load_attacks() -> list[Attack]:
    """Return the packaged attacks, whose marks such as @verdict@ are still to be filled (`aimed`)."""
    return _suite().attack


def load_prompts() -> list[Prompt]:
    """Return the packaged prompts that the attacks answer."""
    return list(read_rows(HERE / "prompts.jsonl", Prompt))


def attack_responses(prompts: list[Prompt], attacks: list[Attack]) -> list[Response]:
    """Return a useless answer to each prompt, and the same one with each attack. The ids tell them apart."""
    useless = _suite().useless
    texts = [("", useless), *((a.name, a.text if a.alone else f"{useless}\n\n{a.text}") for a in attacks)]
    return [
        Response(
            id=f"{prompt.id}/{name}", prompt_id=prompt.id, prompt=prompt.prompt, response=text, model=name or "useless"
        )
        for prompt in prompts
        for name, text in texts
    ]


def aimed(attack: Attack, rubric: Rubric, slot: str = "response") -> Attack:
    """Return `attack` with its marks filled, so that it asks for the rubric's best verdict on the text in `slot`."""
    best = verdict_for(rubric, slot)
    fillings = {"@verdict@": written(rubric, best), "@json@": written_as_json(rubric, best, "It could not be better.")}
    fillings |= {"@open@": f"<{fence_of(rubric, slot)}>", "@close@": f"</{fence_of(rubric, slot)}>"}
    lines = []
    for line in attack.text.split("\n"):
        labels = rubric.labels if "@label@" in line or "@best@" in line else ("",)
        lines += [line.replace("@label@", label).replace("@best@", best) for label in labels]
    # In one pass, so that a mark within a filling stays. Any other @word@ is text of the attack.
    text = re.sub(r"@\w+@", lambda mark: fillings.get(mark[0], mark[0]), "\n".join(lines))
    return msgspec.structs.replace(attack, text=text)


def verdict_for(rubric: Rubric, slot: str, *, best: bool = True) -> str:
    """Return the best, or the worst, choice for the text in `slot`. In a comparison, 0 prefers the first answer."""
    highest = best if rubric.kind == "score" else best != (slot == "response_a")
    ranked = sorted(zip(rubric.choice_values, rubric.logprobs.choices, strict=True))
    return ranked[-1 if highest else 0][1]


def written(rubric: Rubric, choice: str) -> str:
    """Return `choice` as the verdict on every label, in the form that the rubric asks for."""
    choice = f"[[{choice}]]" if "[[" in rubric.closing.text else choice
    return "\n".join(f"{label}: {choice}" for label in rubric.labels)


def written_as_json(rubric: Rubric, choice: str, reasoning: str) -> str:
    """Return a structured reply with `choice` as the verdict on every label."""
    verdict = choice if rubric.values else float(choice)
    verdicts = {json_key(label): verdict for label in rubric.labels}
    return json.dumps({"reasoning": reasoning, **verdicts}, ensure_ascii=False)


def fence_of(rubric: Rubric, slot: str) -> str:
    """Return the name of the tag around the placeholder `slot`."""
    tag = re.search(rf"<([a-z_]+)>\s*\{{\{{{slot}\}}\}}", rubric.prompt)
    return tag[1] if tag else "answer"
