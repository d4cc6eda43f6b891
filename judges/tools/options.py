"""Flags of the tools that check an answer, its claims or its form, and of their effect on the score."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from console.errors import InputError
from console.flags import spelled
from console.output import say
from console.ranges import Count, check_ranges
from engines.options import EngineOptions
from judges.options import JudgeOptions

VerifyRule = Literal["cap", "factscore", "f1", "share", "strict"]
KNOWN_SEARCHES = ("bm25", "dense", "hybrid")
CLAIM_RULES, CONSTRAINT_RULES = ("cap", "factscore", "f1"), ("cap", "share", "strict")
"""The rules that fit a tool that checks claims, and those that fit the constraints."""
OF_CLAIMS = ("corpus", "search", "encoder", "k", "claims", "max_claims", "verifier", "nli_model", "f1_k")
OF_SCORE = ("rubric", "min_coverage")
"""The settings of a judge that count although it is not asked: the scale, and how many answers must have a score."""


@dataclass(frozen=True)
class EvidenceOptions:
    """The tool that checks an answer, the search for its claims, its constraints, and the effect on the score."""

    corpus: Path | None = None
    """A folder of .txt and .md files, or a .jsonl, .json, .csv, .tsv or .parquet file of texts."""
    search: str = "bm25"
    """bm25, dense, hybrid, the URL of a search server, or a Python function as module:function."""
    encoder: str = "minilm"
    """The sentence encoder of dense and hybrid: minilm (the packaged one), a folder, or a hub id."""
    k: Count = 5
    """Passages read per claim."""
    tool: Literal["auto", "search", "arithmetic", "constraints"] = "auto"
    """auto: the model chooses the tool for each answer, or none. constraints: a program checks the answer's form."""
    claims: Literal["model", "sentences"] = "model"
    """model: the model lists the answer's claims. sentences: each sentence is one, at no call."""
    max_claims: Count = 20
    """Check only the first N claims of an answer."""
    verifier: Literal["judge", "nli"] = "judge"
    """The model that decides whether a passage supports a claim: the judge's own, or that of --nli-model."""
    nli_model: str | None = None
    """A folder or hub id of a sequence classifier with the labels entailment, contradiction and perhaps neutral."""
    verify: VerifyRule = "cap"
    """cap: the rubric's score, at most as high as the decided claims or constraints allow. factscore, f1: that metric
    of the claims instead. share, strict: the share of constraints followed instead, or all or nothing."""
    f1_k: Count = 10
    """The number of supported claims that gives full recall (f1)."""
    constraints: str = "row"
    """row: the constraints in the answer's row. ask: the model names them from the prompt. Or a file of rows with
    constraints and their prompt or its id."""
    loose: bool = False
    """Count a constraint as followed if the answer follows it without its first or last line or its asterisks."""

    @property
    def enabled(self) -> bool:
        """Whether anything is looked up or checked at all."""
        return (
            self.corpus is not None
            or self.search not in KNOWN_SEARCHES
            or self.tool in ("arithmetic", "constraints")
            or self._about_constraints is not None
        )

    @property
    def asks_rubric(self) -> bool:
        """Whether the judge is asked by its rubric. It is not if the constraints alone give the score."""
        return not (self.tool == "constraints" and self.verify in ("share", "strict"))

    @property
    def needs_model(self) -> bool:
        """Whether a model is asked anything."""
        return self.asks_rubric or self.constraints == "ask"

    @property
    def checks_rows(self) -> bool:
        """Whether each row has to say which constraints are checked."""
        return self.tool == "constraints" and self.constraints == "row"

    @property
    def _about_constraints(self) -> str | None:
        """The flag that only makes sense with constraints, or None."""
        if self.constraints != "row":
            return "--constraints"
        return f"--verify {self.verify}" if self.verify not in CLAIM_RULES else "--loose" if self.loose else None


def check_options(options: EvidenceOptions) -> None:
    """Raise InputError if a setting is out of range, another one is missing, or two do not fit each other."""
    check_ranges(options)
    _check_constraints(options)
    if options.verifier == "nli" and not options.nli_model:
        raise InputError("--verifier nli needs --nli-model, a folder or a hub id")
    if options.verify == "f1" and options.f1_k > options.max_claims:
        raise InputError(
            f"--f1-k {options.f1_k} is more than --max-claims {options.max_claims}: no answer could have full recall"
        )
    is_searched = options.tool in ("auto", "search")
    if options.corpus is None and options.search in KNOWN_SEARCHES and is_searched:
        flag = options._about_constraints
        hint = f"; {flag} alone goes with --tool constraints" if flag and options.tool == "auto" else ""
        raise InputError(f"--search {options.search} needs --corpus, a folder or a file to search in{hint}")
    if options.corpus is not None and not options.corpus.exists():
        raise InputError(f"{options.corpus}: no such folder or file of texts; --corpus names what to search in")


def say_unused(options: EvidenceOptions, engine: EngineOptions, judge: JudgeOptions) -> None:
    """Say which of the given flags have no effect, because constraints are checked and nobody is asked."""
    if options.tool != "constraints":
        return
    unused = [name for name in given_names(options) if name in OF_CLAIMS]
    unused += [] if options.needs_model else given_names(engine)
    unused += [] if options.asks_rubric else [name for name in given_names(judge) if name not in OF_SCORE]
    if unused:
        flags = ", ".join(spelled(f"--{name.replace('_', '-')}", of_judge=True) for name in unused)
        verb = "has" if len(unused) == 1 else "have"
        say(f"{flags} {verb} no effect with --tool constraints --verify {options.verify}")


def given_names(options: EvidenceOptions | EngineOptions | JudgeOptions) -> list[str]:
    """Return the names of the settings that are not the default."""
    default: Any = type(options)()
    return [field.name for field in fields(options) if getattr(options, field.name) != getattr(default, field.name)]


def _check_constraints(options: EvidenceOptions) -> None:
    if options.tool == "constraints" and options.verify not in CONSTRAINT_RULES:
        raise InputError(
            f"--verify {options.verify} counts claims, and --tool constraints checks none: use cap, share or strict"
        )
    if options.tool in ("search", "arithmetic") and (flag := options._about_constraints):
        raise InputError(
            f"{flag} is about constraints, which --tool {options.tool} does not check: use --tool constraints"
        )
    if options.constraints not in ("row", "ask") and not Path(options.constraints).is_file():
        raise InputError(f"--constraints {options.constraints}: not row, not ask, and no such file")
