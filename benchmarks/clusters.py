"""Clustering by embedding on one core, without the embedding itself.

python -m benchmarks.clusters                            10,000 sets of 10 answers, two minutes
python -m benchmarks.clusters --sets 1000 --embedded 200

Each set has a question vector that all its answers share, one to four meanings, and noise: cosines of about 0.95 within
a meaning and 0.85 between. The peer is scikit-learn's single linkage cut at the threshold, which must find the same
clusters. The whole command reads a file, tokenises, relates, stores, clusters and writes, with given vectors instead of
the model's forward pass. Its memory is what it adds to the process's peak. CPU seconds are those of the process on its
one core. Wall seconds include the time in which the machine does other work.
"""

import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import tyro
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering

from console.progress import say
from console.table import Cell, print_table
from judges.cluster.answer_sets import read_answer_sets, take_census
from judges.cluster.clustering import Paths, cluster_into
from judges.cluster.clusters import Spg, components
from judges.cluster.equivalences.embedding import Embedding, Encoder, cosines, open_embedding
from records.files import BadRows

THRESHOLD = 0.9
WIDTH = 384
WORDS = ("first", "prize", "nineteen", "hundred", "man", "found", "others", "could", "not", "see", "because", "light")
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Config:
    """The benchmark's settings."""

    sets: int = 10_000
    answers: int = 10
    embedded: int = 2_000
    """Answers to measure the model's own rate on."""


def main(config: Config) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    real = open_embedding("minilm", THRESHOLD, batch_size=32).load()
    table = [
        alone("cosines and components", config, linked),
        alone("peer: scikit-learn, single linkage", config, single_linkage),
        whole("whole command, rows together", config, real, shuffled=False),
        whole("whole command, rows shuffled", config, real, shuffled=True),
        embedding_rate(config, real),
    ]
    print_table(table)


def vectors(number: int, n_answers: int) -> tuple[Vectors, list[int]]:
    """Return the answers' unit vectors in one set, and the meaning of each."""
    draw = np.random.default_rng(number)
    meanings = draw.integers(draw.integers(1, 5), size=n_answers).tolist()
    shared, own_parts = draw.normal(size=WIDTH), draw.normal(size=(4, WIDTH))
    answers = shared + 0.34 * own_parts[meanings] + 0.22 * draw.normal(size=(n_answers, WIDTH))
    return (answers / np.linalg.norm(answers, axis=1, keepdims=True)).astype(np.float32), meanings


def alone(name: str, config: Config, cluster: Callable[[Vectors], list[list[int]]]) -> dict[str, Cell]:
    """Time the step from vectors to clusters, without making the vectors."""
    cluster(vectors(0, config.answers)[0])  # the first call also imports modules
    wall_s, cpu_s, n_made, n_ours = 0.0, 0.0, 0, 0
    for number in range(config.sets):
        given, meanings = vectors(number, config.answers)
        started = clocks()
        clusters = cluster(given)
        wall_s, cpu_s = since(started, wall_s, cpu_s)
        n_made += as_sets(clusters) == as_sets(same_numbers(meanings))
        n_ours += as_sets(clusters) == as_sets(linked(given))
    say(f"{name}: the true clusters in {n_made} of {config.sets} sets, ours in {n_ours}")
    return row(name, config.sets, config.sets * config.answers, (wall_s, cpu_s), None)


def linked(given: Vectors) -> list[list[int]]:
    return components(cosines(given) >= THRESHOLD)


def single_linkage(given: Vectors) -> list[list[int]]:
    model = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="single", distance_threshold=1 - THRESHOLD
    )
    return same_numbers(model.fit_predict(1 - cosines(given)).tolist())


def same_numbers(labels: list[int]) -> list[list[int]]:
    return [[place for place, label in enumerate(labels) if label == number] for number in sorted(set(labels))]


def as_sets(clusters: list[list[int]]) -> set[frozenset[int]]:
    return {frozenset(cluster) for cluster in clusters}


def whole(name: str, config: Config, real: Encoder, *, shuffled: bool) -> dict[str, Cell]:
    """Time everything from the file of answers to the files of clusters and pairs, except the forward pass."""
    apart_wall_s = apart_cpu_s = 0.0

    def given(texts: list[str]) -> Vectors:
        nonlocal apart_wall_s, apart_cpu_s
        started = clocks()
        places = [(int(text.split()[1]), int(text.split()[-1])) for text in texts]
        made = {number: vectors(number, config.answers)[0] for number in {number for number, _ in places}}
        encoded = np.stack([made[number][answer] for number, answer in places])
        apart_wall_s, apart_cpu_s = since(started, apart_wall_s, apart_cpu_s)
        return encoded

    same = Embedding(lambda: Encoder(given, real.tokenizer, real.max_tokens), THRESHOLD, "given", "given")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "answers.jsonl")
        lines = list(answer_lines(config))
        if shuffled:
            random.Random(0).shuffle(lines)
        source.write_text("".join(lines))
        del lines
        before_kib = peak_kib(reset=True)
        started = clocks()
        census = take_census(source, BadRows())
        paths = Paths(*(Path(folder, f"{kind}.jsonl") for kind in ("clusters", "pairs", "relations")))
        totals = cluster_into(paths, read_answer_sets(source, census), same, Spg(), config.sets, fresh=False)
        seconds = since(started, -apart_wall_s, -apart_cpu_s)
        say(f"{name}: {totals.row()}")
    return row(name, config.sets, config.sets * config.answers, seconds, (peak_kib() - before_kib) / 1024)


def answer_lines(config: Config) -> Iterator[str]:
    for number in range(config.sets):
        words = random.Random(number).choices(WORDS, k=12)
        for answer in range(config.answers):
            record = {"prompt": f"question {number} of many?", "response": f"{' '.join(words)} {answer}", "model": "m"}
            yield json.dumps(record) + "\n"


def embedding_rate(config: Config, real: Encoder) -> dict[str, Cell]:
    texts = [f"{json.loads(line)['prompt']} {json.loads(line)['response']}" for line in answer_lines(config)]
    texts = texts[: config.embedded]
    real.encode(texts[:32])
    started = clocks()
    real.encode(texts)
    return row("the embedding itself", None, len(texts), since(started), None)


def clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(started: tuple[float, float], wall_s: float = 0.0, cpu_s: float = 0.0) -> tuple[float, float]:
    """Return the seconds since `started` by both clocks, added to those given."""
    now = clocks()
    return wall_s + now[0] - started[0], cpu_s + now[1] - started[1]


def row(
    name: str, n_sets: int | None, n_answers: int, seconds: tuple[float, float], mebibytes: float | None
) -> dict[str, Cell]:
    return {
        "step": name,
        "sets": n_sets,
        "answers": n_answers,
        "seconds": seconds[0],
        "CPU seconds": seconds[1],
        "answers a CPU second": round(n_answers / seconds[1]),
        "memory added, MiB": mebibytes if mebibytes is None else round(mebibytes),
    }


def peak_kib(*, reset: bool = False) -> int:
    """Return the process's peak memory; with `reset`, start measuring it again."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0])


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.clusters"))
