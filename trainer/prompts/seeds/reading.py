"""Reads the seeds: instructions, conversations to learn from (IFT) and ranked answers that teach judging (EFT)."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from console.errors import InputError
from console.progress import say
from console.reading import naming
from judges.labelled.ranked import RankedAnswers
from judges.options import Reading
from judges.rubrics.rubric import Rubric
from records import Message, Prompt, text_of
from records.fields.labels import given_codes
from records.files import BadRows, read_records
from records.shapes import chats_of, prompt_of, read_chats, read_prompts
from trainer.eft.examples import judge_chat, score_line

HERE = Path(__file__).parent
PROMPTS, IFT, EFT = HERE / "prompts.jsonl", HERE / "ift.jsonl", HERE / "eft.jsonl"
CONSTRAINED_PROMPTS, CONSTRAINED_IFT, CONSTRAINED_EFT = (
    HERE / f"constrained_{name}.jsonl" for name in ("prompts", "ift", "eft")
)
"""Seeds whose prompts ask for a form that a program can check, in IFEval's row format."""
CONSTRAINED = Path("constrained")
"""The name of these seeds in a recipe."""


def seed_prompts(source: Path | None, *, strict: bool = False) -> list[Prompt]:
    """Return the prompts in `source`, or the packaged ones, without duplicate texts.

    `constrained` names the packaged prompts with constraints.
    """
    prompts = read_prompts(_file(source, PROMPTS, CONSTRAINED_PROMPTS), BadRows(strict=strict))
    return list({str(prompt.prompt): prompt for prompt in prompts}.values())


def ift_chats(source: Path | None, codes: str | None = None, *, strict: bool = False) -> list[list[Message]]:
    """Return conversations that show how to answer, from `source` or the packaged file; `codes` is like 0=a,1=b.

    `constrained` names the packaged conversations with constraints.
    """
    path = _file(source, IFT, CONSTRAINED_IFT)
    return list(read_chats(path, BadRows(strict=strict), given_codes(codes), "--seeds.codes"))


def eft_chats(source: Path | None, rubric: Rubric, read: Reading) -> Iterator[list[Message]]:
    """Yield conversations that show how to judge, with questions in the exact form that the judge uses.

    With `text` the reply is the rationale and the score. With `logprobs` it is the score alone, because the judge's
    first words are then forced. Conversations of an earlier version, without codes in the tags, are counted on stderr.
    `constrained` names the packaged answers to prompts with constraints.
    """
    n_old = 0
    for where, record in read_records(_file(source, EFT, CONSTRAINED_EFT), BadRows(strict=True)):
        if "messages" in record:
            with naming(where):
                chats = chats_of(record)
            for chat in chats:
                n_old += rubric.coded_tags and all(tag in text_of(chat[:-1]) for tag in rubric.tags)
                yield chat
            continue
        try:
            ranked = msgspec.convert({**record, "prompt": prompt_of(record).prompt}, RankedAnswers)
        except (msgspec.ValidationError, InputError) as error:
            raise InputError(f"{where}: not a row of ranked answers: {error}") from None
        if ranked.scores is None or ranked.rationales is None:
            raise InputError(f"{where}: not a row of ranked answers with 'scores' and 'rationales'; see trainer.eft")
        for response, score, rationale in zip(ranked.responses, ranked.scores, ranked.rationales, strict=True):
            verdict = score_line(rubric, read, score)
            yield judge_chat(
                rubric, read, ranked.prompt, response, f"{rationale}\n{verdict}" if read == "text" else verdict
            )
    if n_old:
        say(
            f"{source}: {n_old} conversations use an older question format than the judge: remake them with trainer.eft"
        )


def _file(source: Path | None, packaged: Path, constrained: Path) -> Path:
    return constrained if source == CONSTRAINED else source or packaged
