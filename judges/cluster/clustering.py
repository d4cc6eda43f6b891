"""Clusters the answers of a file, prompt by prompt, and stores each result."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judges.cluster.answer_sets import AnswerSet
    from judges.cluster.clusters import Spg
    from judges.cluster.equivalence import Equivalence
    from judges.cluster.totals import Totals


@dataclass(frozen=True)
class Paths:
    """Where results go."""

    clusters: Path
    pairs: Path
    relations: Path


def cluster_into(
    paths: Paths,
    sets: "Iterator[AnswerSet]",
    equivalence: "Equivalence",
    spg: "Spg",
    n_prompts: int,
    *,
    fresh: bool,
    apart: bool = False,
) -> "Totals":
    """Write a row for each prompt and the pairs, and return the totals; only relations are kept on interruption."""
    from console.progress import progress
    from judges.cluster.clusters import decide
    from judges.cluster.relations import RelationFile, related
    from judges.cluster.totals import Totals
    from records.store import set_aside

    if fresh:
        set_aside(paths.clusters)
        set_aside(paths.pairs)
    totals = Totals()
    with (
        RelationFile(paths.relations, fresh=fresh) as file,
        rows_into(paths.clusters, apart=apart) as write_clustering,
        rows_into(paths.pairs, apart=apart) as write_pair,
        progress("clustering", n_prompts) as advance,
    ):
        for answers, relation in related(sets, equivalence, file, advance):
            clustering, pair = decide(answers, relation, equivalence, spg)
            write_clustering(clustering)
            if pair:
                write_pair(pair)
            totals.add(clustering, pair)
    return totals


@contextmanager
def rows_into(path: Path, *, apart: bool = False) -> Iterator[Callable[[Any], None]]:
    """Yield a function that writes a row; `path` is there complete at the end or not at all.

    With `apart` an earlier file that says something else is set aside, not replaced.
    """
    import msgspec

    from console.writing import DiskErrors, check_writable, make_folder
    from records.leftovers import temporary_path
    from records.store import replace_apart

    check_writable(path)
    make_folder(path.parent)
    partial = temporary_path(path)
    with DiskErrors(path):
        try:
            with partial.open("wb") as file:
                yield lambda row: file.writelines((msgspec.json.encode(row), b"\n"))
            if apart:
                replace_apart(partial, path)
            else:
                partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
