"""Writes a judge's calls to batch files, and makes rows of the replies in their output.

The files are OpenAI's batch JSONL, which `vllm run-batch -i FILE -o OUTPUT` reads and writes too. The OpenAI engine
makes the calls and reads the replies. Here its calls only go to a file, and come from one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TypeVar

from console.errors import InputError
from engines.served.openai_calls import Call, Calls
from engines.served.openai_engine import OpenAIEngine
from judges.batches.output import Answers
from judges.batches.parts import Parts, request_line
from judges.judging.judge import Judge
from judges.judging.orders import Orders
from judges.judging.pairwise import Contest, compare, comparison_id, orders_of
from records.files import BadRows
from records.rows import Comparison, Judgment, Response

CHUNK = 1000

T = TypeVar("T")
Unfinished = Callable[[Sequence[str]], Mapping[str, T]]
"""Returns the stored rows with these ids that lack samples, as `Store.unfinished` does."""


def _none(_: Sequence[str]) -> Mapping[str, Any]:
    return {}


def check_batch_flags(*, hosted: bool, exported: object, imported: object) -> None:
    """Raise InputError for two of --batch, --export-batch and --import-batch."""
    if sum(map(bool, (hosted, exported, imported))) > 1:
        raise InputError("give one of --batch (send it and wait), --export-batch and --import-batch")


def by_hosted_batch(
    judge: Judge,
    out: Path,
    export: Callable[[Path], int],
    take: Callable[[Sequence[Path], bool], None],
    *,
    fresh: bool,
) -> None:
    """Run a batch of the judge's server for the rows of `out`. See `judges.batches.hosted.run_batch`."""
    from judges.batches.hosted import run_batch  # loads the SDK, which other engines do not need

    folder = out.with_name(f"{out.name}.batch")
    run_batch(getattr(judge.engine, "calls", None), judge.fingerprint, folder, export, take, fresh=fresh)


def export_batch(
    judge: Judge,
    responses: Iterable[Response],
    path: Path,
    done: Collection[str] = (),
    unfinished: Unfinished[Judgment] = _none,
) -> int:
    """Write the calls that judge `responses` to `path` and return their number. Those in `done` are left out.

    For stored judgments that `unfinished` returns, only the missing samples are asked for. The custom_id of a call is
    its judgment's id and the call's number. Above 50,000 calls or 190 MB there are several files, `<name>-00001.jsonl`
    and so on. Raises InputError if the judge is not a server's model.
    """
    with Parts(path) as parts:
        for chunk in _chunks(responses):
            by_file = _answered_by(judge, _Exporting(_judgment_calls(judge, chunk), parts))
            for _ in by_file.judge(chunk, done, unfinished([judge.judgment_id(response) for response in chunk])):
                pass  # judgments of responses that cannot be asked about
    return parts.n


def export_contests(
    judge: Judge,
    contests: Iterable[Contest],
    path: Path,
    done: Collection[str] = (),
    orders: Orders = "both",
    unfinished: Unfinished[Comparison] = _none,
) -> int:
    """Write the calls that compare `contests`, as `export_batch` does. A custom_id also has the order."""
    with Parts(path) as parts:
        for chunk in _chunks(contests):
            by_file = _answered_by(judge, _Exporting(_comparison_calls(judge, chunk, orders), parts))
            known = unfinished([comparison_id(judge, contest, orders) for contest in chunk])
            for _ in compare(by_file, chunk, done, orders, known):
                pass  # judgments of responses that cannot be asked about
    return parts.n


def import_batch(
    judge: Judge,
    responses: Iterable[Response],
    paths: Sequence[Path],
    done: Collection[str] = (),
    unfinished: Unfinished[Judgment] = _none,
    *,
    strict: bool = False,
    leave: bool = False,
) -> Iterator[Judgment]:
    """Yield the judgments of `responses` that are not in `done`, from output and error files in any order.

    The judge and the responses must be those of the export. A call with an error or without a line has failed. A line
    that is no batch output is named and left out (with `strict`, RowError). An unknown custom_id is named too. With
    `leave`, a response of whose calls none has a line is left out. Raises InputError at the end if no line belongs to
    these calls.
    """
    with Answers(paths, BadRows(strict=strict)) as answers:
        for chunk in _chunks(responses):
            if leave:
                chunk = [one for one in chunk if any(id in answers for id in _judgment_calls(judge, [one]))]
            by_file = _answered_by(judge, _Importing(_judgment_calls(judge, chunk), answers))
            yield from by_file.judge(chunk, done, unfinished([judge.judgment_id(response) for response in chunk]))
        answers.report()


def import_contests(
    judge: Judge,
    contests: Iterable[Contest],
    paths: Sequence[Path],
    done: Collection[str] = (),
    orders: Orders = "both",
    unfinished: Unfinished[Comparison] = _none,
    *,
    strict: bool = False,
    leave: bool = False,
) -> Iterator[Comparison]:
    """Yield the comparisons of `contests` that are not in `done`, as `import_batch` does."""
    with Answers(paths, BadRows(strict=strict)) as answers:
        for chunk in _chunks(contests):
            if leave:
                chunk = [one for one in chunk if any(id in answers for id in _comparison_calls(judge, [one], orders))]
            by_file = _answered_by(judge, _Importing(_comparison_calls(judge, chunk, orders), answers))
            known = unfinished([comparison_id(judge, contest, orders) for contest in chunk])
            yield from compare(by_file, chunk, done, orders, known)
        answers.report()


@dataclass(frozen=True)
class _Exporting:
    """Writes the requests to files in place of a server, and returns no answers."""

    custom_ids: Sequence[str]
    parts: Parts

    def __call__(
        self, todo: Iterator[int], body: Callable[[int], dict[str, Any]], *, resumed: bool = False
    ) -> Iterator[tuple[int, Call]]:
        # By row, so that all calls of a row go to one file.
        for _, indices in groupby(todo, key=lambda index: self.custom_ids[index].split("-")[0]):
            self.parts.write([request_line(self.custom_ids[index], body(index)) for index in indices])
        return iter(())


@dataclass(frozen=True)
class _Importing:
    """Returns the answers in files in place of a server's."""

    custom_ids: Sequence[str]
    answers: Answers

    def __call__(
        self, todo: Iterator[int], body: Callable[[int], dict[str, Any]], *, resumed: bool = False
    ) -> Iterator[tuple[int, Call]]:
        wanted = set(todo)
        for index, custom_id in enumerate(self.custom_ids):
            if index in wanted:
                yield index, self.answers.take(custom_id)
            else:
                self.answers.skip(custom_id)


def _answered_by(judge: Judge, calls: Calls) -> Judge:
    if not isinstance(judge.engine, OpenAIEngine):
        raise InputError("a batch is for a server's model: give --engine openai")
    return replace(judge, engine=replace(judge.engine, calls=calls))


def _judgment_calls(judge: Judge, responses: Sequence[Response]) -> list[str]:
    ids = dict.fromkeys(map(judge.judgment_id, responses))  # a repeated response is asked about once
    return [f"{row_id}-{number}" for row_id in ids for number in range(judge.n_questions)]


def _comparison_calls(judge: Judge, contests: Sequence[Contest], orders: Orders) -> list[str]:
    # By id, because contests that are the same are asked about once.
    asked_in = {comparison_id(judge, contest, orders): orders_of(judge, contest, orders) for contest in contests}
    numbers = range(judge.n_questions)
    return [f"{row_id}-{order}-{n}" for row_id, its_orders in asked_in.items() for order in its_orders for n in numbers]


def _chunks(rows: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(rows)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
