"""Sets that name the better answer: RewardBench, RM-Bench, and the HHH pairs of Prometheus."""

import re
from dataclasses import replace

from console.errors import InputError
from judges.labelled.columns import Columns
from judges.labelled.labels import LabelledPair, LabelledScore, from_preferred
from judges.labelled.readers.reader import HUMANS, Found, Records, each, group_of, text
from records.fields.values import number_in
from records.files import BadRows, Record
from records.shapes import UNKNOWN_MODEL, pairs_of, prompt_of

STYLES = ("concise", "detailed", "markdown")
"""The order of RM-Bench's three answers of either kind."""
RUBRIC_PROMPT = re.compile(
    r"###The instruction to evaluate:\n(?P<prompt>.*?)\n+###Response to evaluate:\n(?P<response>.*?)"
    r"(?:\n+###Reference Answer[^\n]*\n(?P<reference>.*?))?\n+###Score Rubrics:",
    re.DOTALL,
)


def read_rewardbench(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return RewardBench's pairs (arXiv 2403.13787): `prompt, chosen, rejected`, and the `subset` that they are of.

    Any other file of preference pairs in TRL's formats is read alike.
    """

    def pair(number: str, record: Record) -> list[LabelledPair]:
        rows = pairs_of(record)  # RewardBench 2 has one chosen answer and several rejected ones
        prompt = rows[0].prompt[0]["content"] if len(rows[0].prompt) == 1 else rows[0].prompt
        models = {
            name: str(record.get(f"{name}_model") or record.get(f"model_{name}") or UNKNOWN_MODEL)
            for name in ("chosen", "rejected")
        }
        pair_id = str(record.get("id", number))
        meta = {"subset": str(record["subset"])} if "subset" in record else {}
        made = []
        for place, pair_row in enumerate(rows):
            one_id = pair_id if len(rows) == 1 else f"{pair_id}-{place}"
            texts = pair_row.chosen[0]["content"], pair_row.rejected[0]["content"]
            labelled = from_preferred(one_id, prompt, *texts, group_of(pair_row.prompt))
            first, second = ("chosen", "rejected") if labelled.label == "a" else ("rejected", "chosen")
            made.append(replace(labelled, model_a=models[first], model_b=models[second], meta=meta))
        return made

    return Found(each(records, bad, pair, columns.id))


def read_rmbench(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return RM-Bench's nine pairs per record (arXiv 2410.16184): three styles of the right and of the wrong answer.

    A pair is hard if the wrong answer has the fancier style, easy if the right one has it, and normal if they match.
    """

    def pairs(number: str, record: Record) -> list[LabelledPair]:
        prompt = prompt_of(record).prompt
        texts = {}
        for name in ("chosen", "rejected"):
            texts[name] = record.get(name)
            if not isinstance(texts[name], list) or [type(x) for x in texts[name] or []] != [str] * 3:
                raise InputError(f"'{name}' must be three texts: concise, detailed, detailed with markdown")
        row_id, domain = str(record.get("id", number)), str(record.get("domain", "unknown"))
        rows = []
        for i, chosen in enumerate(texts["chosen"] or []):
            for j, rejected in enumerate(texts["rejected"] or []):
                # STYLES go from the plainest to the fanciest
                level = "hard" if i < j else "normal" if i == j else "easy"
                made = from_preferred(f"{row_id}-{STYLES[i]}-{STYLES[j]}", prompt, chosen, rejected, group_of(prompt))
                rows.append(replace(made, meta={"level": level, "domain": domain}))
        return rows

    return Found(each(records, bad, pairs, columns.id), labeller="the right answers of the tasks")


def read_hhh(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return the HHH alignment pairs in Prometheus's form: each answer is part of a grading prompt."""

    def pair(number: str, record: Record) -> list[LabelledPair]:
        prompt, chosen, _ = _inside(text(record, "chosen_instruction"))
        _, rejected, _ = _inside(text(record, "rejected_instruction"))
        made = from_preferred(number, prompt, chosen, rejected, group_of(prompt))
        return [replace(made, meta={"source": str(record.get("source", "unknown"))})]

    return Found(each(records, bad, pair, columns.id), labeller=HUMANS)


def read_prometheus(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return Prometheus's absolute scores (arXiv 2310.08491): the mean of GPT-4's three, and the reference answer."""

    def score(number: str, record: Record) -> list[LabelledScore]:
        prompt, response, reference = _inside(text(record, "instruction"))
        graded = record.get("gpt4_score")
        scores = graded if isinstance(graded, list) else [graded]
        numbers = [value for grade in scores if (value := number_in(grade)) is not None]
        if not scores or len(numbers) < len(scores):
            raise InputError(f"'gpt4_score' must be numbers, found {graded!r}")
        return [
            LabelledScore(
                id=f"{record.get('idx', number)}-{record.get('response_source', '')}",
                prompt=prompt,
                response=response,
                score=sum(numbers) / len(numbers),
                group=str(record.get("idx", group_of(prompt))),
                annotators=tuple(numbers),
                model=str(record.get("response_source", UNKNOWN_MODEL)),
                reference=reference,
                meta={"category": str(record.get("category", "unknown"))},
            )
        ]

    return Found(scores=each(records, bad, score, columns.id), labeller="GPT-4, asked several times")


def _inside(grading_prompt: str) -> tuple[str, str, str | None]:
    """Return request, answer and reference answer from one of Prometheus's grading prompts."""
    match = RUBRIC_PROMPT.search(grading_prompt)
    if match is None:
        raise InputError("not a Prometheus prompt: it lacks '###The instruction to evaluate:' or what follows it")
    return match["prompt"].strip(), match["response"].strip(), match["reference"] and match["reference"].strip()
