"""Flags of the search for evidence on an answer's claims, and of its effect on the score."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from console.errors import InputError
from console.ranges import Count, check_ranges

VerifyRule = Literal["cap", "factscore", "f1"]
KNOWN_SEARCHES = ("bm25", "dense", "hybrid")


@dataclass(frozen=True)
class EvidenceOptions:
    """The search for an answer's claims, their verifier, and the effect on the score."""

    corpus: Path | None = None
    """A folder of .txt and .md files, or a .jsonl, .json, .csv, .tsv or .parquet file of texts."""
    search: str = "bm25"
    """bm25, dense, hybrid, the URL of a search server, or a Python function as module:function."""
    encoder: str = "minilm"
    """The sentence encoder of dense and hybrid: minilm (the packaged one), a folder, or a hub id."""
    k: Count = 5
    """Passages read per claim."""
    tool: Literal["auto", "search", "arithmetic"] = "auto"
    """auto: the model chooses the tool for each answer, or none."""
    claims: Literal["model", "sentences"] = "model"
    """model: the model lists the answer's claims. sentences: each sentence is one, at no call."""
    max_claims: Count = 20
    """Check only the first N claims of an answer."""
    verifier: Literal["judge", "nli"] = "judge"
    """The model that decides whether a passage supports a claim: the judge's own, or that of --nli-model."""
    nli_model: str | None = None
    """A folder or hub id of a sequence classifier with the labels entailment, contradiction and perhaps neutral."""
    verify: VerifyRule = "cap"
    """cap: the rubric's score, at most as high as the decided claims allow. factscore, f1: that metric instead."""
    f1_k: Count = 10
    """The number of supported claims that gives full recall (f1)."""

    @property
    def enabled(self) -> bool:
        """Whether claims are looked up or checked at all."""
        return self.corpus is not None or self.search not in KNOWN_SEARCHES or self.tool == "arithmetic"


def check_options(options: EvidenceOptions) -> None:
    """Raise InputError if a setting is out of range or another one is missing."""
    check_ranges(options)
    if options.verifier == "nli" and not options.nli_model:
        raise InputError("--verifier nli needs --nli-model, a folder or a hub id")
    if options.corpus is None and options.search in KNOWN_SEARCHES and options.tool != "arithmetic":
        raise InputError(f"--search {options.search} needs --corpus, a folder or a file to search in")
    if options.corpus is not None and not options.corpus.exists():
        raise InputError(f"{options.corpus}: no such folder or file of texts; --corpus names what to search in")
