"""Judges that are a compared model, or of its family: such a judge tends to prefer its own kind's answers.

Self-preference is measured in arXiv 2404.13076, section 3.
"""

import re
from collections.abc import Mapping, Sequence

from console.errors import InputError
from engines.options import EngineOptions, is_iteration
from evals.head_to_head.sides import Model, Side
from records.runs import find_run, read_settings

FAMILIES = {
    **{name: name for name in ("claude", "deepseek", "falcon", "gemini", "gemma", "glm", "gpt", "granite", "grok")},
    **{name: name for name in ("kimi", "llama", "mistral", "nemotron", "olmo", "phi", "qwen", "smollm", "yi")},
    **{"davinci": "gpt", "chatgpt": "gpt", "mixtral": "mistral", "qwq": "qwen", "tulu": "llama", "vicuna": "llama"},
    **{"alpaca": "llama"},
}
"""The family of each name that occurs in models' names."""
WORD = re.compile(r"[a-z]+")


def family_of(name: str) -> str | None:
    """Return the family that a model's name tells, or None if it tells none."""
    return next((FAMILIES[word] for word in WORD.findall(name.lower()) if word in FAMILIES), None)


def kin_warnings(sides: Sequence[Side], digests: Mapping[str, str], judge: EngineOptions, digest: str) -> list[str]:
    """Return a warning for each side that is the judge itself or of its family.

    `digests` are those of the models by name. The model of a file of answers has none.
    """
    warnings = []
    family = family_of(_base(judge))
    for side in sides:
        base = _base(side.options) if isinstance(side, Model) else side.name
        if digests.get(side.name) == digest or side.name == judge.model:
            name = "" if side.name == judge.model else f"{judge.model} "
            what = f"the judge {name}is {side.name} itself"
        elif family is not None and family_of(base) == family:
            what = f"the judge {judge.model} and {side.name} are of one family, {family}"
        else:
            continue
        advice = "judges tend to prefer answers of their own kind; a judge of another family tells more"
        warnings.append(f"{what}: {advice}")
    return warnings


def _base(options: EngineOptions) -> str:
    """Return the name of the model that an iteration of a run was trained from, or else a model's own name."""
    if not is_iteration(options):
        return options.model
    try:
        settings = read_settings(find_run(options.run))
    except InputError:
        return options.model
    engine = settings.get("engine")
    return str(engine.get("model", options.model)) if isinstance(engine, dict) else options.model
