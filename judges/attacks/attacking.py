"""Runs the attacks on the template, the parser and a model, and prints a table of each."""

from dataclasses import replace
from pathlib import Path

from console.output import tell, tell_json, tell_plan
from console.table import Cell, print_table
from engines.options import check_engine, of_run, open_engine, pinned
from judges.attacks.options import Config
from judges.attacks.rates import checked, fooled_rates
from judges.attacks.texts import load_attacks, load_prompts
from judges.judging.judge import has_every_reply, open_judge
from judges.rubrics.checked import checked_rubric
from judges.rubrics.rubric import load_rubric, rubric_names
from records import Judgment, Store
from records.files import check_limit

OUT = Path("runs/attacks")
SHOWN_PROBLEMS = 20


def attack(config: Config) -> None:
    """Check the template and the parser, ask the model if there is one, and print a table of each."""
    config = replace(config, engine=pinned(config.engine))
    check_limit(config.limit)
    if config.dry_run:
        _print_plan(config)
        return
    defences, problems = checked([load_rubric(name) for name in dict.fromkeys([*rubric_names(), config.judge.rubric])])
    if not config.json:
        print_table(defences)
        for problem in problems[:SHOWN_PROBLEMS]:
            tell(problem)
    rates, caption = _ask_model(config) if config.engine.model else ([], "")
    if config.json:
        tell_json({"defences": defences, "problems": problems, "model": rates})
    elif rates:
        tell()
        print_table(rates)
        tell("", caption)


def _print_plan(config: Config) -> None:
    n_attacks = len(load_attacks())
    n_answers, calls = 0, "ask no model"
    if config.engine.model:
        check_engine(config.engine)
        checked_rubric(config.judge)
        n_all = len(load_prompts()) * n_attacks
        n_answers = min(config.limit or n_all, n_all)
        calls = f"ask {config.engine.model} about {n_answers} answers"
    tell_plan(
        {"attacks": n_attacks, "model": config.engine.model or None, "answers": n_answers},
        f"would check {n_attacks} attacks on every rubric, and {calls}",
        as_json=config.json,
    )


def _ask_model(config: Config) -> tuple[list[dict[str, Cell]], str]:
    """Return the table of how often the model is fooled, and its caption."""
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
    criterion = f"fooled means a rise of more than {rise:g}, or a score of {judge.rubric.scale[1]:g}"
    who = f"{judge.engine.name}{of_run(config.engine)}"
    return rates, f"{who} on the rubric {judge.rubric.name}, read by {judge.read}; {criterion}; {out}"
