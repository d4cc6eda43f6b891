"""A model card for the last iteration of a run, in the hub's format: front matter, then what was done and measured."""

from collections.abc import Iterable
from typing import Any

from huggingface_hub import ModelCardData

from console.visible import one_line
from evals.report.content import UNREADABLE, Content
from evals.report.facts.run import RunFacts
from evals.report.markdown import table_text

WAYS = {
    "loop": "It was trained by self-rewarding iterations (Yuan et al., arXiv 2401.10020): the model answers prompts, a "
    "judge scores the answers, and DPO learns from pairs of a better and a worse one.",
    "rlp": "It was trained by reward learning on policy (Lang et al., arXiv 2403.19279): a reward model learns from "
    "the policy's own samples too, and PPO learns from it.",
}


def card_of(facts: RunFacts, content: Content) -> str:
    """Return the model card for the last iteration of a run. It leaves open what the run does not say."""
    return "\n\n".join(_parts(facts, content)) + "\n"


def _parts(facts: RunFacts, content: Content) -> Iterable[str]:
    base = base_of(facts)
    on_hub = base if base and base.count("/") == 1 and not base.startswith((".", "/", "~")) else None
    tags = ["judgeloop", "self-rewarding" if facts.rlp is None else "rlp"]
    data = ModelCardData(base_model=on_hub, library_name="transformers", pipeline_tag="text-generation", tags=tags)
    yield f"---\n{data.to_yaml()}\n---"
    yield f"# {one_line(facts.name)}, {facts.iterations[-1]}"
    yield f"Base model: {one_line(base) if base else 'unknown'}. {WAYS['loop' if facts.rlp is None else 'rlp']}"
    yield "## Results"
    yield "\n".join(f"- {one_line(line)}" for line in content.headlines)
    for table in content.tables:
        yield f"### {table.title}"
        yield table_text(table)
    if unread := content.lists.get(UNREADABLE):
        yield "## What could not be read"
        yield "\n".join(f"- {one_line(line)}" for line in unread)
    yield "## Limits"
    yield (
        "The figures are of the held-out prompts of this run. A judge of the same family as the model tends to prefer "
        "its own answers. The licence is that of the base model and of the data, and is for you to state."
    )
    yield "## How to make it again"
    yield _again(facts)


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
