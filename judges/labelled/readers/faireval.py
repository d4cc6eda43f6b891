"""FairEval (arXiv 2305.17926): questions, the answers of each model, and one human verdict per line."""

import re
from pathlib import Path

from console.errors import InputError, RowError
from judges.labelled.labels import LabelledPair
from judges.labelled.readers.reader import Found, text
from judges.labelled.traits import key_text
from records.decoding.lines import text_of_file
from records.files import BadRows, read_records
from records.rows import Winner

REVIEW = re.compile(r"review_(?P<a>.+)_(?P<b>.+)_human\.txt")


def review_in(source: Path) -> Path | None:
    """Return the file of human verdicts at or in `source`, or None if it is not FairEval's."""
    if source.is_file():
        return source if REVIEW.fullmatch(source.name) else None
    reviews = [*source.glob("review_*_human.txt"), *source.glob("review/review_*_human.txt")]
    return reviews[0] if len(reviews) == 1 else None


def read_faireval(review: Path, bad: BadRows) -> Found:
    """Return the pairs of the two models that the review's name gives.

    `question.jsonl` and `answer_<model>.jsonl` lie beside it, or in `../` and `../answer/` as in the repository.
    Raises InputError if a file is missing, or if the numbers of verdicts and questions differ.
    """
    names = REVIEW.fullmatch(review.name)
    if names is None:
        raise InputError(f"{review}: expected a name like review_<model>_<model>_human.txt")
    questions = _texts(_beside(review, "question.jsonl"), bad)
    answers_a = _texts(_beside(review, f"answer_{names['a']}.jsonl"), bad)
    answers_b = _texts(_beside(review, f"answer_{names['b']}.jsonl"), bad)
    verdicts = text_of_file(review).decode("utf-8", "replace").split()  # one per question, in the questions' order
    if len(verdicts) != len(questions):
        raise InputError(f"{review}: {len(verdicts)} verdicts for {len(questions)} questions")
    labels = _labels(verdicts, names["a"], names["b"], review)
    return Found(
        [
            LabelledPair(
                question,
                prompt,
                answers_a[question],
                answers_b[question],
                label,
                question,
                (),
                names["a"],
                names["b"],
                keys={"question_id": key_text(question)},
            )
            for (question, prompt), label in zip(questions.items(), labels, strict=True)
            if question in answers_a and question in answers_b
        ]
    )


def _labels(verdicts: list[str], model_a: str, model_b: str, review: Path) -> list[Winner]:
    """Return the verdicts as labels. One model may have another name there (gpt35 is CHATGPT), but not both."""
    names = sorted(set(verdicts) - {"TIE"})
    named = {_plain(name): name for name in names}  # Vicuna-13B and vicuna13b are one
    codes: dict[str, Winner] = {"TIE": "tie"}
    for model, side in ((model_a, "a"), (model_b, "b")):
        if _plain(model) in named:
            codes[named[_plain(model)]] = side  # type: ignore[assignment]
    unknown = [name for name in names if name not in codes]
    if len(unknown) == 1 and len(codes) == 2:  # the codes are TIE and one of the two models
        codes[unknown[0]] = "a" if "b" in codes.values() else "b"
    if any(name not in codes for name in names):
        raise InputError(f"{review}: verdicts {', '.join(names)} do not name {model_a} and {model_b}")
    return [codes[verdict] for verdict in verdicts]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _beside(review: Path, name: str) -> Path:
    for path in (review.parent / name, review.parent.parent / name, review.parent.parent / "answer" / name):
        if path.exists():
            return path
    raise InputError(f"{review}: needs {name} beside it")


def _texts(path: Path, bad: BadRows) -> dict[str, str]:
    texts: dict[str, str] = {}
    for where, record in read_records(path, bad):
        try:
            texts[str(record["question_id"])] = text(record, "text")
        except (InputError, KeyError) as error:
            bad.add(RowError(f"{where}: {f'it lacks {error}' if isinstance(error, KeyError) else error}"))
    return texts
