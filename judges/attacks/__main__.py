"""Measure how often answers that speak to the judge fool it: its template, its parser and, with a model, the model.

python -m judges.attacks                                      the template and the parser, on every rubric; no model
python -m judges.attacks --rubric my_scale.toml               on a rubric of one's own too
python -m judges.attacks --model smollm2 --limit 60           and how often the model is fooled
python -m judges.attacks --model my-model --base-url http://localhost:8000/v1 --read text --margin 0.2

The template is fooled where a text closes its own fence, keeps a special token or is filled in again. The parser is
fooled where a quoted attack's verdict is read, or the judge's own is not. Both must be 0. The model is fooled where a
useless answer is scored higher with the attack than without it. Stopped and started again, it goes on where it was.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from console.again import starts_again
from console.command import Flags, run
from console.output import tell, tell_json, tell_plan
from console.ranges import Count, ShareBelow1
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions, check_engine, of_run, pinned
from judges.options import JudgeOptions

if TYPE_CHECKING:
    from console.table import Cell

OUT = Path("runs/attacks")
SHOWN_PROBLEMS = 20


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Measure how often attacks fool the judge."""

    engine: SharedEngineOptions = field(default_factory=lambda: EngineOptions(model=""))
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    limit: Count | None = None
    """Ask the model about N attacked answers, as many of each family; the default is all."""
    margin: ShareBelow1 = 0.1
    """The model is fooled by a rise of more than this share of the scale, or by the best score."""
    out: OutRows | None = None
    """Where the judgments go; the default is runs/attacks/<judge fingerprint>.jsonl."""


@starts_again
def main(config: Config) -> None:
    """Check the template and the parser, ask the model if there is one, and print a table of each."""
    config = replace(config, engine=pinned(config.engine))
    from console.table import print_table
    from judges.attacks.rates import checked
    from judges.attacks.texts import load_attacks, load_prompts
    from judges.judging.judge import checked_rubric
    from judges.rubrics.rubric import load_rubric, rubric_names
    from records.files import check_limit

    check_limit(config.limit)
    if config.dry_run:
        n_asked = config.limit or len(load_prompts()) * len(load_attacks())
        asked = f"ask {config.engine.model} about {n_asked} answers" if config.engine.model else "ask no model"
        if config.engine.model:
            check_engine(config.engine)
            checked_rubric(config.judge)
        plan = {"attacks": len(load_attacks()), "model": config.engine.model or None}
        said = f"would check {len(load_attacks())} attacks on every rubric, and {asked}"
        tell_plan(plan | {"answers": n_asked if config.engine.model else 0}, said, as_json=config.json)
        return
    defences, problems = checked([load_rubric(name) for name in dict.fromkeys([*rubric_names(), config.judge.rubric])])
    if not config.json:
        print_table(defences)
        for problem in problems[:SHOWN_PROBLEMS]:
            tell(problem)
    model, judged = _ask_model(config) if config.engine.model else ([], "")
    if config.json:
        tell_json({"defences": defences, "problems": problems, "model": model})
    elif model:
        tell()
        print_table(model)
        tell("", f"{judged}")


def _ask_model(config: Config) -> "tuple[list[dict[str, Cell]], str]":
    from engines.options import open_engine
    from judges.attacks.rates import fooled_rates
    from judges.attacks.texts import load_prompts
    from judges.judging.judge import has_every_reply, open_judge
    from records import Judgment, Store

    judge = open_judge(open_engine(config.engine), config.judge, config.seed)
    out = config.out or OUT / f"{judge.fingerprint}.jsonl"
    with Store(out, Judgment, keep=has_every_reply, fresh=config.fresh) as store:
        rates = fooled_rates(
            judge,
            load_prompts(),
            config.seed,
            limit=config.limit,
            margin=config.margin,
            store=store,
            fresh=config.fresh,
        )
    rise = config.margin * (judge.rubric.scale[1] - judge.rubric.scale[0])
    how = f"fooled is a rise of more than {rise:g}, or {judge.rubric.scale[1]:g}"
    who = f"{judge.engine.name}{of_run(config.engine)}"
    return rates, f"{who} on the rubric {judge.rubric.name}, read by {judge.read}; {how}; {out}"


if __name__ == "__main__":
    run(Config, main, "python -m judges.attacks")
