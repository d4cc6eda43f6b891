"""The settings of a whole run, as given in a recipe file of recipes/."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from console.command import Flags, off
from console.errors import InputError
from console.flags import in_section
from console.output import say
from console.ranges import Count, CountOr0, Couple, NotNegative, Number, Positive, ShareAbove0, check_command
from engines.options import EngineOptions, SharedEngineOptions, check_trained
from judges.options import JudgeOptions, PanelOptions
from judges.tools.options import EvidenceOptions
from judges.tools.options import check_options as check_evidence
from records.files import check_sources
from records.runs import BEST, ITERATION, find_run
from trainer.dpo.options import DPOOptions
from trainer.early_stop.options import EarlyStopOptions
from trainer.grpo.options import GRPOOptions, check_grpo
from trainer.monitors.gates import PAIRS_RIGHT, Gates, check_gate_names
from trainer.monitors.monitors import MonitorOptions
from trainer.pairs.options import MetaOptions, PairOptions, check_pair_options
from trainer.prompts.options import FewShotOptions, FilterOptions
from trainer.sft.options import SFTOptions
from trainer.training.launch import LaunchOptions, check_launch
from trainer.training.options import LoraOptions, OptionsT, check_options, with_lora, with_template

PARENT = "parent"
"""The name of the model that wrote a round's answers, as the judge of them."""


@dataclass(frozen=True)
class Hardware:
    """The accelerators of a run. The defaults are those of H100 SXM."""

    gpus: CountOr0 = 0
    """Estimate for this many GPUs by formula; 0 measures on this machine instead."""
    gpu_tflops: Positive = 989.0
    """Dense bfloat16 TFLOPS of one GPU."""
    gpu_gib: Positive = 80.0
    mfu_training: ShareAbove0 = 0.4
    """The share of these FLOPs that training reaches, not counting those of recomputed activations."""
    mfu_inference: ShareAbove0 = 0.1
    """The share that generation reaches with batches of many rows. Both shares are guesses."""
    gpu_price: NotNegative = 0.0
    """US dollars per hour of one GPU. 0: no estimate of the money."""


@dataclass(frozen=True)
class EstimateOptions(Hardware):
    """How --dry-run estimates time and memory."""

    measure: Annotated[bool, off("Do not load the model to measure its speed: print calls and tokens only.")] = True
    """Load the model for some seconds of each kind of work; false prints calls and tokens only."""
    size: Path | None = None
    """A config.json to take the model's size from. The default is the model's own."""


@dataclass(frozen=True)
class CandidateOptions:
    """The answers that a model writes to each new prompt (Self-Rewarding, section 3.1.4)."""

    prompts: Count = 24
    """New prompts per round. No prompt is used twice."""
    n: Couple = 4
    """Answers per prompt."""
    max_new_tokens: Count = 512
    """The longest answer."""
    temperature: NotNegative = 0.7
    top_p: ShareAbove0 = 0.9


@dataclass(frozen=True)
class RoundEngineOptions(EngineOptions):
    """The model that judges a round's answers."""

    model: str = PARENT
    """parent: the model that wrote the answers. Otherwise as for --model, with iter0 or iter1 of this run, or as for
    --judge: NAME@http://host/v1, or a TOML file of the settings that differ from those of [judge]."""


@dataclass(frozen=True)
class RoundJudgeOptions(JudgeOptions):
    """Settings of the judge: its model, its rubric, and how its replies are sampled and read."""

    engine: RoundEngineOptions = field(default_factory=RoundEngineOptions)


@dataclass(frozen=True)
class SeedOptions:
    """The data of the first fine-tuning. The default of each is the packaged file."""

    prompts: Path | None = None
    """Prompts for the rounds and the evaluation. `constrained` names packaged ones with constraints that a program can
    check."""
    ift: Path | None = None
    """Conversations that show how to answer. Of pairs, the chosen answers are used. `constrained` as for `prompts`."""
    codes: str | None = None
    """The meaning of labels of two answers in `ift`, like 0=a,1=b,2=tie with a as the first. 1, 2, a, b and tie are
    known."""
    ift_limit: Count | None = None
    """Use only N conversations, drawn at random."""
    eft: Path | None = None
    """Judged answers that show how to judge: chats, as trainer.eft writes them, or rows with scores and rationales.
    `constrained` as for `prompts`."""
    judging: Annotated[bool, off("Do not learn to judge: the paper's ablation without EFT (section 3.2).")] = True
    """Learn to judge too; false is the paper's ablation without EFT (section 3.2)."""
    eft_limit: Count | None = None
    """Use only N judged answers, drawn at random."""


@dataclass(frozen=True)
class NewPromptOptions:
    """The source of a round's new prompts (Self-Rewarding, section 2.2)."""

    source: Literal["seeds", "iter0", "parent"] = "seeds"
    """seeds: dealt out from the seed prompts. iter0, parent: written by that model, few-shot from the seed prompts."""
    few_shot: FewShotOptions = field(default_factory=FewShotOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)


@dataclass(frozen=True)
class RoundOptions:
    """The training data made from a round's judged answers."""

    learn: Literal["pairs", "perfect", "grpo"] = "pairs"
    """pairs: DPO. perfect: SFT on the answers with a perfect score, the paper's ablation (section 3.2). grpo: GRPO or
    RLOO, by the settings of [grpo]: the judge's scores are the rewards of answers that are drawn while it learns."""
    perfect_score: Number | None = None
    """The least score that counts as perfect. The default is the rubric's highest."""
    reference: Literal["parent", "iter0"] = "parent"
    """The model that DPO measures the distance to."""
    rejected: Literal["parent", "iter0"] = "parent"
    """iter0: choose among the parent's answers and reject one of iter0's (Temporal Self-Rewarding, 2508.06026)."""
    consistency: Literal["off", "set", "prompt"] = "off"
    """set, prompt: label the pairs with how far the parent and its own parent agree on the answers (CREAM, 2410.12735),
    as the mean over all prompts or per prompt."""
    meta: bool = False
    """Learn from pairs of judgments too (Meta-Rewarding, 2407.19594)."""


@dataclass(frozen=True)
class RoundGRPOOptions(GRPOOptions):
    """GRPO in a round. The answers are those of [candidates], whose `n` is the size of a group."""

    group_size: tyro.conf.Suppress[Couple] = GRPOOptions.group_size
    response_length: tyro.conf.Suppress[Count] = GRPOOptions.response_length
    temperature: tyro.conf.Suppress[Positive] = GRPOOptions.temperature
    top_p: tyro.conf.Suppress[ShareAbove0] = GRPOOptions.top_p


@dataclass(frozen=True)
class EvalOptions:
    """How every iteration is measured: on prompts that no round uses, by one judge for the whole run."""

    prompts: Count = 16
    """Held-out prompts."""
    n: Count = 1
    """Answers to each. With two or more, and constraints, the judge's accuracy on own answers can be measured."""
    temperature: NotNegative | None = None
    """The temperature of held-out answers. The default is that of [candidates], which may be high for varied pairs."""
    top_p: ShareAbove0 | None = None
    """The default is that of [candidates]."""
    compare: Annotated[bool, off("Do not compare with iter0: no win rate.")] = True
    """Compare the first answer to each prompt with iter0's, by `rubric`, for the win rate."""
    score: Annotated[bool, off("Score only the answers of known pairs: no mean score.")] = True
    """Score every held-out answer, by the round's judge and by `judge`; false scores only those of known pairs."""
    judge: CountOr0 = 1
    """The iteration whose model judges all others. The default is the first that has learnt to judge."""
    rubric: str = "pairwise"
    """The rubric of the comparison with iter0."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """A whole self-rewarding run."""

    name: str = "self_rewarding"
    """The run's folder under runs/."""
    from_iteration: str | None = None
    """An iteration of another run, as in demo/iter1. The new run takes that one and all before it and goes on from
    there, with settings that may be others. The other run stays as it is."""
    iterations: Count = 3
    """The number of the last iteration. iter1 is SFT, and each later one learns from judged answers."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    seeds: SeedOptions = field(default_factory=SeedOptions)
    new_prompts: NewPromptOptions = field(default_factory=NewPromptOptions)
    candidates: CandidateOptions = field(default_factory=CandidateOptions)
    judge: RoundJudgeOptions = field(default_factory=RoundJudgeOptions)
    panel: Annotated[PanelOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PanelOptions)
    evidence: EvidenceOptions = field(default_factory=EvidenceOptions)
    round: RoundOptions = field(default_factory=RoundOptions)
    pairs: PairOptions = field(default_factory=PairOptions)
    meta: MetaOptions = field(default_factory=MetaOptions)
    sft: SFTOptions = field(default_factory=SFTOptions)
    dpo: DPOOptions = field(default_factory=DPOOptions)
    grpo: RoundGRPOOptions = field(default_factory=RoundGRPOOptions)
    lora: LoraOptions = field(default_factory=LoraOptions)
    early_stop: EarlyStopOptions | None = None
    """If this table is given, a round's checkpoints are compared and the last that won is taken."""
    launch: LaunchOptions | None = None
    """If this table is given, each training runs on several processes instead of in the loop's own."""
    eval: EvalOptions = field(default_factory=EvalOptions)
    monitors: MonitorOptions = field(default_factory=MonitorOptions)
    gates: Gates = field(default_factory=dict)
    """The range of each monitor, outside of which the run stops: see docs/monitors.md."""
    estimate: EstimateOptions = field(default_factory=EstimateOptions)


def check(config: Config) -> None:
    """Raise InputError if the settings do not fit together, before anything is loaded."""
    check_command(config)
    if taken_number(config) >= config.iterations:
        raise InputError(f"--from-iteration {config.from_iteration}: {_nothing_left(config)}")
    if not 0 <= config.eval.judge <= config.iterations:
        raise InputError(f"--eval.judge must name an iteration from 0 to {config.iterations}, not {config.eval.judge}")
    check_trained(config.engine)
    check_gate_names(config.gates)
    check_pair_options(config.pairs)
    trainings = {"sft.": as_trained(config.sft, config), "dpo.": as_trained(config.dpo, config)}
    if config.launch is not None:
        check_launch(config.launch, trainings)
    else:
        for within, training in trainings.items():
            with in_section(within, training):
                check_options(training)
    _check_round(config)
    if config.round.learn == "grpo":
        _check_grpo_round(config)
    _check_files(config)
    _say_copies(config)


def named_iteration(name: str) -> tuple[str, int]:
    """Return the run and the number that are named as in `demo/iter1`. Raises InputError for other names."""
    run, _, iteration = name.rpartition("/")
    match = ITERATION.fullmatch(iteration)
    if run and iteration == BEST:
        raise InputError(
            f"--from-iteration {name}: a later figure may make another one the best, and a run keeps where it began: "
            f"name the iteration, as in {run}/iter1"
        )
    if not run or match is None or not int(match[1]):
        raise InputError(f"--from-iteration {name}: name a run and an iteration after iter0, as in demo/iter1")
    return run, int(match[1])


def _nothing_left(config: Config) -> str:
    """Return why no iteration would be made after the one to go on from: it is absent, or the last one wanted."""
    source, number = find_run(named_iteration(config.from_iteration or "")[0]), taken_number(config)
    if number not in source.done():
        there = ", ".join(f"iter{done}" for done in sorted(source.done())) or "none"
        return f"iter{number} is not in {source.ledger}. Finished: {there}"
    return f"nothing is left to make up to --iterations {config.iterations}: raise it, or name an earlier one"


def taken_number(config: Config) -> int:
    """Return the number of the last iteration that the run takes from another run, or 0."""
    return named_iteration(config.from_iteration)[1] if config.from_iteration else 0


def n_prompt_sets(config: Config) -> int:
    """Return how many rounds of the run get their prompts from the seeds."""
    if config.new_prompts.source != "seeds":
        return 0
    return config.iterations - max(taken_number(config), 1)  # iter1 uses none


def as_trained(options: OptionsT, config: Config) -> OptionsT:
    """Return the settings of one of the run's trainings with those that hold for all: adapters, template variables."""
    return with_template(with_lora(options, config.lora), config.engine.chat_template_kwargs)


IN_CANDIDATES = {
    "group_size": "candidates.n",
    "response_length": "candidates.max_new_tokens",
    "temperature": "candidates.temperature",
    "top_p": "candidates.top_p",
}
"""The settings of GRPO's answers, and those of a loop that they are taken from."""


def as_grpo(config: Config) -> GRPOOptions:
    """Return the settings of a round's GRPO, with the answers of [candidates].

    Raises InputError if [grpo] has settings of answers, because those of [candidates] hold for every kind of round.
    """
    default = GRPOOptions()
    answers = {name: getattr(config.candidates, there.partition(".")[2]) for name, there in IN_CANDIDATES.items()}
    if given := [name for name in answers if getattr(config.grpo, name) != getattr(default, name)]:
        raise InputError(
            f"[grpo] {given[0]}: the answers of a round are set in [candidates]: n, max_new_tokens, temperature, top_p"
        )
    return as_trained(replace(config.grpo, **answers), config)


def _check_grpo_round(config: Config) -> None:
    """Raise InputError if a setting does not fit rounds that learn by GRPO."""
    rounds, pairs = config.round, config.pairs
    wrong = {
        "--round.meta": rounds.meta,
        "--round.consistency": rounds.consistency != "off",
        "--round.rejected iter0": rounds.rejected == "iter0",
        "--round.reference iter0": rounds.reference == "iter0",
        "--round.perfect-score": rounds.perfect_score is not None,
        "--pairs.votes": pairs.votes is not None,
        "--pairs.second-judge": pairs.second_judge is not None,
        f"the gate {PAIRS_RIGHT}": PAIRS_RIGHT in config.gates,
        "[early_stop]": config.early_stop is not None,
    }
    if names := [name for name, is_given in wrong.items() if is_given]:
        raise InputError(f"--round.learn grpo makes no pairs and has no DPO: leave out {', '.join(names)}")
    if config.launch is not None:
        raise InputError("--round.learn grpo trains in the loop's own process: leave out [launch]")
    if config.panel.judge:
        raise InputError("--round.learn grpo asks one judge while it trains: name it with --judge.engine.model")
    if config.candidates.temperature == 0:
        raise InputError("--candidates.temperature 0: the answers of a group would be equal, so give one above 0")
    with in_section("grpo.", config.grpo, **IN_CANDIDATES):
        check_grpo(as_grpo(config), config.candidates.prompts, "raise --candidates.prompts")


def _say_copies(config: Config) -> None:
    eval_temperature = config.candidates.temperature if config.eval.temperature is None else config.eval.temperature
    for flag, n, temperature in (
        ("candidates", config.candidates.n, config.candidates.temperature),
        ("eval", config.eval.n, eval_temperature),
    ):
        if n > 1 and temperature == 0:
            say(f"--{flag}.n {n} at temperature 0 gives the same answer {n} times: nothing to choose from")


def _check_files(config: Config) -> None:
    """Raise InputError if a file that is needed later does not exist."""
    check_sources(config.pairs.votes, config.pairs.second_judge, config.monitors.labelled)
    if config.evidence.enabled:
        check_evidence(config.evidence)


def _check_round(config: Config) -> None:
    if config.round.meta and (config.judge.read != "text" or config.judge.samples < 2):
        raise InputError(
            "--round.meta compares written judgments: use --judge.read text, and --judge.samples 2 or more"
        )
    if config.round.meta and not config.evidence.asks_rubric:
        raise InputError("--round.meta compares written judgments, and constraints alone write none: use verify = cap")
    if config.round.learn == "perfect" and (config.round.meta or config.round.consistency != "off"):
        raise InputError("--round.learn perfect makes no pairs: leave out --round.meta and --round.consistency")
    if config.round.rejected == "iter0" and config.round.consistency != "off":
        raise InputError("--round.consistency ranks one model's answers: leave out --round.rejected iter0")
