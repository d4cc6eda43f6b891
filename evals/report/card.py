"""A model card for the last iteration of a run, in the hub's format: front matter, then what was done and measured."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from console.visible import one_line
from engines.adapters import is_adapter
from engines.models import PACKAGED
from evals.report.content import UNREADABLE, Content
from evals.report.facts.run import RunFacts
from evals.report.markdown import table_text
from evals.report.tables.iterations import headline

PACKAGED_ON_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
CHECKING, ALONE = ("arithmetic", "constraints"), ("share", "strict")
"""Tools that need no corpus, and the rules by which constraints alone give the score."""
SEEDS = {"ift": "Example answers", "eft": "Example judgments", "prompts": "Prompts"}
WAYS = {
    "sft": "It was fine-tuned (SFT) on example answers and judgments, the first step of self-rewarding iterations "
    "(Yuan et al., arXiv 2401.10020).",
    "grpo": "It was trained in iterations: the model answers prompts, a judge scores the answers, and GRPO or RLOO "
    "learns from the scores.",
    "loop": "It was trained by self-rewarding iterations (Yuan et al., arXiv 2401.10020): the model answers prompts, a "
    "judge scores the answers, and DPO learns from pairs of a better and a worse one.",
    "rlp": "It was trained by reward learning on policy (Lang et al., arXiv 2403.19279): a reward model learns from "
    "the policy's own samples too, and PPO learns from it.",
}


def card_of(
    facts: RunFacts,
    content: Content,
    iteration: str | None = None,
    base_model: str | None = None,
    licence: str | None = None,
) -> str:
    """Return the model card of an iteration, by default the last. It leaves open what the run does not say.

    `base_model` is the name of the base model on the hub, if the run does not have it, and `licence` that model's.
    """
    return "\n\n".join(_parts(facts, content, iteration or facts.iterations[-1], base_model, licence)) + "\n"


def _parts(
    facts: RunFacts, content: Content, iteration: str, base_model: str | None, licence: str | None
) -> Iterable[str]:
    base, hub_name = base_of(facts), on_hub(facts, base_model)
    adapter = is_adapter(facts.run.folder / iteration / "model")
    way = WAYS[
        "rlp" if facts.rlp else "sft" if iteration == "iter1" else "grpo" if _learns_by_reward(facts) else "loop"
    ]
    data = ModelCardData(
        base_model=hub_name,
        base_model_relation=None if hub_name is None else "adapter" if adapter else "finetune",
        license=licence,
        library_name="peft" if adapter else "transformers",
        pipeline_tag="text-generation",
        tags=["judgeloop", "self-rewarding" if facts.rlp is None else "rlp", *(["lora"] if adapter else [])],
    )
    yield f"---\n{data.to_yaml()}\n---"
    yield f"# {one_line(facts.name)}, {iteration}"
    kind = " This is a LoRA adapter on that model." if adapter else ""
    yield f"Base model: {one_line(hub_name or base or 'unknown')}.{kind} {way}"
    yield "## Data and judge"
    yield "\n".join(f"- {one_line(line)}" for line in _learnt(facts, iteration))
    yield "## Results"
    is_last = iteration == facts.iterations[-1]
    headlines = content.headlines if is_last else [headline(facts, iteration)]
    yield "\n".join(f"- {one_line(line)}" for line in headlines)
    for table in content.tables:
        yield f"### {table.title}"
        yield table_text(table)
    if unread := content.lists.get(UNREADABLE):
        yield "## What could not be read"
        yield "\n".join(f"- {one_line(line)}" for line in unread)
    yield "## Limits"
    yield (
        "The figures are of the held-out prompts of this run. A judge of the same family as the model tends to prefer "
        f"its own answers. The licence of the base model is {licence or 'not known here'}. The licence of the data "
        "is not known here: state it if you share the model."
    )
    yield "## How to make it again"
    yield _again(facts)


def on_hub(facts: RunFacts, base_model: str | None = None) -> str | None:
    """Return the name of the base model on the hub, or None if it is a folder and `base_model` does not say."""
    base = base_model or base_of(facts)
    if base == PACKAGED:
        return PACKAGED_ON_HUB
    return base if base and base.count("/") == 1 and not base.startswith((".", "/", "~")) else None


def _learns_by_reward(facts: RunFacts) -> bool:
    rounds: Any = facts.settings.get("round")
    return isinstance(rounds, dict) and rounds.get("learn") == "grpo"


def _learnt(facts: RunFacts, iteration: str) -> Iterable[str]:
    """Yield a line for each source of data, for the judge, and for each iteration up to the one of the card."""
    seeds, judge, evidence = (facts.settings.get(name) for name in ("seeds", "judge", "evidence"))
    for name, what in SEEDS.items():
        source = seeds.get(name) if isinstance(seeds, dict) else None
        yield f"{what}: {_source(source) if source else 'packaged with judgeloop'}"
    if isinstance(judge, dict):
        engine = judge.get("engine")
        model = engine.get("model") if isinstance(engine, dict) else None
        who = "the model that wrote the answers" if model in (None, "parent") else model
        yield f"Judge: {who}, by the rubric {judge.get('rubric')}, read as {judge.get('read')}"
    if isinstance(evidence, dict) and (evidence.get("tool") in CHECKING or evidence.get("corpus")):
        alone = ". They are the score, and no model judges" if evidence.get("verify") in ALONE else ""
        yield f"Checked with a tool: {evidence['tool']}, verify = {evidence.get('verify')}{alone}"
    for line in facts.ledger.values():
        counts = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in line.counts.items())
        by = "" if line.judge is None else f"; judge {line.judge}"
        yield f"{line.id} from {line.parent}: {counts}{by}"
        if line.id == iteration:
            return


def _source(name: object) -> str:
    """Return a data set's name on the hub, or the name of a file without its folders, which are this machine's."""
    text = str(name)
    on_this_machine = text.startswith((".", "/", "~")) or text.count("/") != 1 or Path(text).exists()
    return Path(text).name if on_this_machine else text


def base_of(facts: RunFacts) -> str | None:
    """Return the model that the run began with, or None if its settings do not say."""
    engine: Any = facts.settings.get("engine")
    base = engine.get("model") if isinstance(engine, dict) else None
    return base if isinstance(base, str) else None


def _again(facts: RunFacts) -> str:
    command = "trainer.loop" if facts.rlp is None else "trainer.rlp"
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    return (
        f"`python -m {command} --config recipe.toml`, in which recipe.toml has what stands in `[settings]` of the "
        f"run's run.toml, one level up. Versions: {versions}."
    )
