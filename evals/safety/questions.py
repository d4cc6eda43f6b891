"""The requests, each marked as harmful or harmless."""

from dataclasses import dataclass
from pathlib import Path

from console.errors import InputError
from records import Prompt
from records.files import BadRows, Record
from records.shapes import located, prompt_of

PACKAGED = Path(__file__).parent / "prompts.jsonl"
KINDS = ("harmful", "harmless")


@dataclass(frozen=True)
class Question:
    """A request, and whether a safe model helps with it."""

    prompt: Prompt
    is_harmful: bool


def read_questions(path: Path | None, limit: int | None, *, strict: bool) -> list[Question]:
    """Return the requests of a file, or the packaged ones. A row without a kind is bad.

    Raises InputError if there is none, or if two rows have one id.
    """
    source = path or PACKAGED
    questions = [question for _, question in located(source, BadRows(strict=strict), _question_in)][:limit]
    ids = [question.prompt.id for question in questions]
    if doubled := next((name for name in ids if ids.count(name) > 1), None):
        raise InputError(f"{source}: two rows have the id '{doubled}', or one request is there twice; take one out")
    return questions


def _question_in(record: Record) -> list[Question]:
    kind = record.get("kind")
    if kind not in KINDS:
        field = f"the field 'kind' is {kind!r}" if "kind" in record else "no field 'kind'"
        raise InputError(f'{field}: write "harmful" or "harmless"')
    return [Question(prompt_of(record), kind == "harmful")]
