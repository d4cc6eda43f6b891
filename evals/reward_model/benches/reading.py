"""Reads judge benchmarks in their communities' own files, recognised by their fields."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import get_args

from console.errors import InputError
from console.progress import say
from console.reading import naming
from evals.reward_model.benches.aggregates import ADVERSARIAL, PPE_SETS, V2_SUBSETS
from evals.reward_model.benches.items import TIES, Bench, BenchName, Item
from judges.audit.parts import SECTIONS
from judges.labelled.columns import Columns
from judges.labelled.labels import LabelledPair
from judges.labelled.readers.pairs import read_judgebench, read_llmbar
from judges.labelled.readers.preferred import STYLES, read_rewardbench, read_rmbench
from judges.labelled.readers.reader import Records, each, group_of, text
from records.fields.values import number_in
from records.files import BadRows, Record, read_records
from records.inputs import KINDS, stem_of

SHOWN = 3
V1_SUBSETS = {name for section in SECTIONS.values() for name in section}
CHOSEN = ("chosen", "rejected")
LLMBAR_SETS = ("Natural", *ADVERSARIAL)
Reader = Callable[[Records, BadRows, Path], Iterable[Item]]


def bench_name(record: Record) -> BenchName | None:
    """Return the benchmark that a record is of, or None."""
    if all(isinstance(record.get(name), list) for name in CHOSEN):
        if "domain" in record and all(len(record[name]) == len(STYLES) for name in CHOSEN):
            return "RM-Bench"
        return "RewardBench 2" if "num_correct" in record or record.get("subset") in V2_SUBSETS else None
    if record.keys() >= {"chosen", "rejected", "subset"} and record["subset"] in V1_SUBSETS:
        return "RewardBench"
    if record.keys() >= {"question", "response_A", "response_B", "label", "pair_id"}:
        return "JudgeBench"
    if record.keys() >= {"input", "output_1", "output_2", "label"} and "instruction" not in record:
        return "LLMBar"
    if record.keys() >= {"prompt", "response_1", "scores", "sampled_conflict_pairs"}:
        return "PPE"
    if record.keys() >= {"question_id", "prompt", "response_1", "response_2", "winner"}:
        return "PPE"
    return None


def read_bench(source: Path, bad: BadRows) -> Bench | None:
    """Return the benchmark in a file, or in the files of a folder, or None if `source` is no benchmark.

    Raises InputError if a folder has files of two benchmarks or none, or no row can be used.
    """
    files = _files_in(source)
    by_file = {path: name for path in files if (name := _name_of(path)) is not None}
    names = Counter(by_file.values())
    if len(names) > 1:
        raise InputError(f"{source}: files of several benchmarks, {', '.join(names)}; name one file or folder of one")
    if not names:
        if source.is_dir():
            known = ", ".join(get_args(BenchName))
            raise InputError(f"{source}: no file of a judge benchmark in the folder; known are {known}")
        return None
    [name] = names
    return _bench(name, source, by_file, bad)


def _bench(name: BenchName, source: Path, files: Iterable[Path], bad: BadRows) -> Bench:
    items: dict[tuple[object, ...], Item] = {}
    n_rows = n_ties = 0
    for path in files:
        records = list(read_records(path, bad))
        with naming(path):
            for item in READERS[name](records, bad, path):
                n_rows += 1
                items.setdefault((item.subset, item.id, str(item.prompt), item.answers), item)
        n_ties += sum(str(record.get("winner", "")).startswith("tie") for _, record in records)
    if n_rows > len(items):
        say(f"{source}: {n_rows - len(items)} items are there twice and count once")
    if not items:
        raise InputError(f"{source}: no usable item of {name}: {bad.summary()}")
    return Bench(name, list(items.values()), n_ties if name == "PPE" else 0)


def _files_in(source: Path) -> list[Path]:
    """Return the file, or the data files in a folder and below it. LLMBar's results of other judges are left out."""
    if not source.is_dir():
        return [source]
    files = [path for path in sorted(source.rglob("*")) if path.is_file() and "evaluators" not in path.parts]
    return [path for path in files if path.name.lower().removesuffix(".gz").endswith(KINDS)]


def _name_of(path: Path) -> BenchName | None:
    """Return the benchmark of a file's first records, or None. A file that cannot be read is none here."""
    try:
        first = islice(read_records(path, BadRows(quiet=True)), SHOWN)
        return next((name for _, record in first if (name := bench_name(record)) is not None), None)
    except InputError:
        return None


def _of_pairs(pairs: Iterable[LabelledPair], subset_of: Callable[[LabelledPair], str]) -> Iterator[Item]:
    for pair in pairs:
        answers = (pair.response_a, pair.response_b)
        if pair.label != "tie":
            ordered = answers if pair.label == "a" else answers[::-1]
            level = pair.meta.get("level", "")
            yield Item(pair.id, subset_of(pair), pair.group, pair.prompt, ordered, level=level)


def _rewardbench(records: Records, bad: BadRows, _: Path) -> Iterable[Item]:
    return _of_pairs(read_rewardbench(records, bad, Columns()).pairs, lambda pair: pair.meta.get("subset", ""))


def _judgebench(records: Records, bad: BadRows, _: Path) -> Iterable[Item]:
    return _of_pairs(read_judgebench(records, bad, Columns()).pairs, lambda pair: pair.meta.get("source", ""))


def _rmbench(records: Records, bad: BadRows, _: Path) -> Iterable[Item]:
    return _of_pairs(read_rmbench(records, bad, Columns()).pairs, lambda pair: pair.meta["domain"])


def _llmbar(records: Records, bad: BadRows, path: Path) -> Iterable[Item]:
    # the files are Natural.json, or Adversarial/GPTOut/dataset.json
    name = path.parent.name if stem_of(path) == "dataset" else stem_of(path)
    subset = next((known for known in LLMBAR_SETS if name.endswith(known)), name)
    return _of_pairs(read_llmbar(records, bad, Columns()).pairs, lambda _: subset)


def _rewardbench2(records: Records, bad: BadRows, _: Path) -> Iterable[Item]:
    def items(number: str, record: Record) -> list[Item]:
        right, wrong = (_texts(record, name) for name in CHOSEN)
        n_right = int(number_in(record.get("num_correct")) or len(right))
        subset, row_id, prompt = text(record, "subset"), str(record.get("id", number)), text(record, "prompt")
        if n_right != len(right):
            raise InputError(f"'num_correct' is {n_right}, and there are {len(right)} chosen answers")
        if subset == TIES and not re.fullmatch(r"(ref|tied):\d+", row_id):
            raise InputError(f"'id' is {row_id!r}, and in {TIES} it is like ref:3 or tied:3")
        if (n_right > 1) != (subset == TIES and row_id.startswith("tied")):
            raise InputError(f"{n_right} chosen answers in '{subset}', '{row_id}': only tied prompts have several")
        # the twins of Ties ask the same question in other words
        group = f"{TIES}:{row_id.partition(':')[2]}" if subset == TIES else group_of(prompt)
        return [Item(row_id, subset, group, prompt, (*right, *wrong), n_right)]

    return each(records, bad, items)


def _ppe(records: Records, bad: BadRows, path: Path) -> Iterable[Item]:
    name = re.sub(r"[^a-z0-9]+", "_", stem_of(path if stem_of(path) != "train" else path.parent).lower())
    correctness = next((known for known in PPE_SETS if known in name), name)

    def items(number: str, record: Record) -> list[Item]:
        prompt, row_id = text(record, "prompt"), str(record.get("question_id", number))
        if "winner" in record:
            winner = text(record, "winner")
            sides = {"model_a": (1, 2), "model_b": (2, 1)}.get(winner)
            if sides is None and not winner.startswith("tie"):
                raise InputError(f"'winner' is {winner!r}, not model_a, model_b or tie")
            pairs, subset = [sides] if sides else [], "human preference"
        else:
            pairs, subset = _conflicts(record), correctness
        return [
            Item(
                f"{row_id}-{better}-{worse}",
                subset,
                group_of(prompt),
                prompt,
                (text(record, f"response_{better}"), text(record, f"response_{worse}")),
            )
            for better, worse in pairs
        ]

    return each(records, bad, items)


def _conflicts(record: Record) -> list[tuple[int, int]]:
    """Return the numbers, from 1, of the right and the wrong answer of each of PPE's pairs, which count from 0."""
    scores = [float(score) for score in record["scores"]]  # true and false, or numbers
    pairs = [(int(first), int(second)) for first, second in record["sampled_conflict_pairs"]]
    if any(scores[i] == scores[j] for i, j in pairs):
        raise InputError("'sampled_conflict_pairs' has two answers with equal 'scores'")
    return [(i + 1, j + 1) if scores[i] > scores[j] else (j + 1, i + 1) for i, j in pairs]


def _texts(record: Record, name: str) -> tuple[str, ...]:
    texts = record.get(name)
    if not isinstance(texts, Sequence) or not texts or not all(isinstance(answer, str) for answer in texts):
        raise InputError(f"'{name}' must be a list of texts")
    return tuple(texts)


READERS: dict[BenchName, Reader] = {
    "RewardBench": _rewardbench,
    "RewardBench 2": _rewardbench2,
    "JudgeBench": _judgebench,
    "LLMBar": _llmbar,
    "RM-Bench": _rmbench,
    "PPE": _ppe,
}
