"""The totals of a clustering, in one table whose counts add up."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from console.output import tell, tell_json, tell_plan
from console.progress import say
from console.table import Cell, print_table
from judges.cluster.answer_sets import AnswerSet
from judges.cluster.clusters import Clustering, Outcome, Spg, described
from judges.cluster.equivalence import Equivalence
from judges.judging.coverage import require_coverage
from records import Pair

SHOWN_FAILED = 10
N_BINS = 10


@dataclass
class Totals:
    """Sums over prompts, which need no rows in memory."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    confidence: float = 0.0
    histogram: list[int] = field(default_factory=lambda: [0] * N_BINS)
    """Numbers of prompts with a confidence of up to 0.1, up to 0.2, and so on."""

    def add(self, clustering: Clustering, pair: Pair | None) -> None:
        """Count one prompt, and name it on stderr if its calls failed."""
        self.outcomes[clustering.outcome] += 1
        for name in ("n_answers", "n_unusable", "n_unread", "n_cut"):
            self.counts[name] += getattr(clustering, name)
        if clustering.confidence is not None and clustering.sizes:
            self.confidence += clustering.confidence
            self.counts["n_clustered"] += 1
            self.counts["n_clusters"] += len(clustering.sizes)
            self.counts["n_tied"] += clustering.n_largest > 1
            # in whole numbers: 0.3 * 10 is more than 3
            self.histogram[-(-N_BINS * clustering.sizes[0] // sum(clustering.sizes)) - 1] += 1
        if pair:
            self.counts["chosen_chars"] += len(pair.chosen[0]["content"])
            self.counts["rejected_chars"] += len(pair.rejected[0]["content"])
        if clustering.outcome == "failed":
            self._say_failed(clustering)

    def row(self) -> dict[str, Cell]:
        """Return the table's row: prompts = pairs + all agree + under gamma + too few + unscored + failed."""
        n_pairs = self.outcomes["pair"]
        return {
            "prompts": self.outcomes.total(),
            "pairs": n_pairs,
            "all agree": self.outcomes["all agree"],
            "under gamma": self.outcomes["under gamma"],
            "too few": self.outcomes["too few"],
            "unscored": self.outcomes["unscored"],
            "failed": self.outcomes["failed"],
            "mean confidence": _mean(self.confidence, self.counts["n_clustered"]),
            "mean clusters": _mean(self.counts["n_clusters"], self.counts["n_clustered"]),
            "chosen chars": _mean(self.counts["chosen_chars"], n_pairs),
            "rejected chars": _mean(self.counts["rejected_chars"], n_pairs),
        }

    def _say_failed(self, clustering: Clustering) -> None:
        if self.outcomes["failed"] <= SHOWN_FAILED:
            say(f"not clustered: prompt {clustering.prompt_id}: {clustering.error}")
        elif self.outcomes["failed"] == SHOWN_FAILED + 1:
            say(f"not clustered: more than {SHOWN_FAILED} prompts; each row has its reason in 'error'")


def _mean(total: float, n: int) -> float | None:
    return total / n if n else None


def print_totals(
    totals: Totals, equivalence: Equivalence, spg: Spg, clusters: Path, pairs: Path, *, as_json: bool
) -> None:
    """Print the table, the histogram of confidence, and the settings."""
    counts = totals.counts
    made_by = {
        "equivalence": described(equivalence),
        "gamma": spg.gamma,
        "choose": spg.choose,
        "judge": spg.judge,
        "clusters_file": str(clusters),
        "pairs_file": str(pairs),
    }
    if as_json:
        named = {name: counts[name] for name in ("n_answers", "n_unusable", "n_unread", "n_cut", "n_tied")}
        tell_json(totals.row() | named | {"histogram": totals.histogram} | made_by)
        return
    print_table([totals.row()])
    shares = "  ".join(f"{(place + 1) / N_BINS:g}: {n}" for place, n in enumerate(totals.histogram))
    tell("", f"prompts with a confidence up to  {shares}")
    tell(
        f"{counts['n_answers']} answers: {counts['n_unusable']} without text, {counts['n_unread']} from which nothing "
        f"could be read, {counts['n_cut']} compared by their beginnings only; {counts['n_tied']} prompts with equally "
        "large largest clusters"
    )
    tell(f"same meaning: {described(equivalence)}; gamma {spg.gamma:g}; chosen by {spg.choose}")
    tell(clusters, pairs)


def print_plan(
    sets: Iterable[AnswerSet], equivalence: Equivalence, spg: Spg, source: Path, out: Path, *, as_json: bool
) -> None:
    """Print the comparisons that a run would make."""
    n_prompts = n_answers = n_compared = 0
    for answers in sets:
        n_prompts += 1
        n_answers += answers.n_votes + answers.n_unusable
        n_compared += len(answers.members) * (len(answers.members) - 1) // 2
    how = {"equivalence": described(equivalence), "gamma": spg.gamma, "choose": spg.choose}
    tell_plan(
        {"answers": n_answers, "prompts": n_prompts, "of": source, "compared": n_compared, **how, "out": out},
        f"would cluster {n_answers} answers to {n_prompts} prompts of {source}: {n_compared} pairs of distinct texts "
        f"to compare; {described(equivalence)}; gamma {spg.gamma:g}; chosen by {spg.choose}; to {out}",
        as_json=as_json,
    )


def check_coverage(totals: Totals, min_coverage: float) -> None:
    """Raise JudgeError if fewer than `min_coverage` of the prompts could be clustered. All rows are kept."""
    n = totals.outcomes.total()
    advice = "Run the same command again to try the others"
    require_coverage(n - totals.outcomes["failed"], n, min_coverage, what="prompts could be clustered", advice=advice)


@dataclass
class Rewarded:
    """The number of distinct texts with a score in the file of --rewards."""

    source: Path
    n_texts: int = 0
    n_scored: int = 0

    def counted(self, sets: Iterable[AnswerSet]) -> Iterator[AnswerSet]:
        """Yield the answer sets, their texts counted."""
        for answers in sets:
            self.n_texts += len(answers.members)
            self.n_scored += sum(member.score is not None for member in answers.members)
            yield answers

    def check(self, min_coverage: float) -> None:
        """Raise JudgeError if fewer than `min_coverage` of the texts have a score. All rows are kept."""
        require_coverage(
            self.n_scored,
            self.n_texts,
            min_coverage,
            what="answers have a score",
            advice="Score the same file",
            source=self.source,
        )
