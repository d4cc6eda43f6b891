"""The tables of what the iterations can do, and of how they were made."""

from collections.abc import Sequence

from evals.report.facts.run import RunFacts
from evals.report.facts.shapes import HeldOutFacts, LedgerFacts
from evals.report.tables.table import Row, Table, duration, known, number, percent, points, rate, table_of, whole

COUNTS = ("ift", "eft", "prompts", "responses", "cut_off", "judged", "unparsed", "failed", "tied", "filtered", "pairs")

COLUMNS = {
    "does what is asked, %": "Does what is asked: the answer follows all constraints of its prompt, as a program "
    "checks them.",
    "judge is right, %": "Judge is right: it prefers the better of two answers of which a program knows that one does "
    "what is asked and the other does not.",
    "win rate, %": "Win rate: against iter0, in both orders; flipped: the orders disagree.",
}


def headline(facts: RunFacts, iteration: str | None = None) -> str:
    """Return in a sentence what came of the run, or of one of its iterations."""
    if iteration is not None and (held := facts.held_out.get(iteration)) is not None:
        return _headline_of(held)
    last = next((held for name in facts.iterations[::-1] if (held := facts.held_out.get(name))), None)
    if facts.held_out and facts.iterations[-1] not in facts.held_out and last is not None:
        return f"{facts.iterations[-1]} has no figures, measured or readable. {_headline_of(last)}"
    if last is None:
        return "No iteration of this run has been measured yet."
    return _headline_of(last)


def _headline_of(last: HeldOutFacts) -> str:
    following, win_rate = last.following, last.win_rate
    if following is not None and (share := percent(following.follows)):
        text = f"iter{last.iteration} does what is asked in {share} % of its answers"
        if gain := points(following.gain):
            text += f", {gain} points against iter0"
        return f"{text} ({following.n_prompts} held-out prompts, 95 % intervals)."
    if (won := rate(win_rate)) is not None:
        return f"iter{last.iteration} wins {won} % of its comparisons with iter0 (95 % interval)."
    if last.mean_score is not None:
        return f"iter{last.iteration} has a mean score of {last.mean_score:.2f} on {last.n_prompts} held-out prompts."
    return f"iter{last.iteration} is the last iteration that was measured."


def iterations_table(runs: Sequence[RunFacts]) -> Table:
    """Return a row for each iteration with what was measured on the held-out prompts."""
    rows: list[Row] = [
        {"run": facts.name if len(runs) > 1 else None, "iteration": name, **_measured(facts.held_out.get(name))}
        for facts in runs
        for name in facts.iterations
    ]
    return table_of("Iterations", rows, "On held-out prompts, in brackets 95 % intervals.", COLUMNS)


def _measured(held: HeldOutFacts | None) -> Row:
    following = held.following if held else None
    win_rate = held.win_rate if held else None
    flipped = win_rate.flipped_percent if win_rate else None
    return {
        "does what is asked, %": percent(following.follows) if following else None,
        "gain, points": points(following.gain) if following else None,
        "win rate, %": rate(win_rate),
        "flipped, %": known(flipped, 1),
        "judge is right, %": percent(following.known_pairs) if following else None,
        "mean score": known(held.mean_score) if held else None,
        "unscored": whole(held.n_unscored) if held and held.n_unscored else None,
        "mean characters": known(held.mean_chars, 0) if held else None,
        "held-out prompts": whole(held.n_prompts) if held else None,
    }


def rounds_table(runs: Sequence[RunFacts]) -> Table:
    """Return a row for each line of the ledgers: parents, data, judge and cost."""
    rows: list[Row] = [
        {"run": facts.name if len(runs) > 1 else None, "iteration": name, **_made(line, facts)}
        for facts in runs
        for name, line in facts.ledger.items()
    ]
    note = (
        "The ledger. Cut off: answers that reached their token limit. Unparsed and failed: judgments without a score, "
        "which make no pair. Filtered: prompts whose pair a filter left out."
    )
    return table_of("How each iteration was made", rows, note)


def _made(line: LedgerFacts, facts: RunFacts) -> Row:
    judged = facts.judged.get(line.id)
    calls = judged.usage.n_calls if judged else 0
    counts = {name.replace("_", " "): whole(line.counts.get(name)) for name in COUNTS}
    return {
        "parent": line.parent,
        "reference": line.reference_model,
        **counts,
        "mean score": known(line.mean_score),
        "mean characters": known(line.mean_chars, 0),
        "loss": known(line.training.get("loss"), 3),
        "tokens written": whole(line.n_tokens or None),
        "judge's calls": whole(calls or None),
        "judge": line.judge,
        "time": duration(line.seconds),
    }


def rlp_tables(runs: Sequence[RunFacts]) -> list[Table]:
    """Return the tables of the policies and reward models of trainer.rlp."""
    policies: list[Row] = []
    models: list[Row] = []
    for facts in runs:
        run = facts.name if len(runs) > 1 else None
        for policy in facts.rlp.policies if facts.rlp else ():
            rewards = {f"reward by iter{by}": known(reward) for by, reward in policy.rewards.items()}
            kl = (policy.kl or {}).get("kl")
            policies.append(
                {
                    "run": run,
                    "policy": policy.id,
                    "win rate over iter1, %": rate(policy.win_rate),
                    "mean characters": known(policy.mean_chars, 0),
                    **rewards,
                    "KL to iter1, nats a token": number(kl, 4) if isinstance(kl, float) else None,
                }
            )
        for model in facts.rlp.reward_models if facts.rlp else ():
            figures = model.held_out.items()
            cells = {name: number(value, 3) if isinstance(value, float) else str(value) for name, value in figures}
            models.append({"run": run, "reward model": model.id, **cells})
    tables = [table_of("Policies", policies), table_of("Reward models on held-out preferences", models)]
    return [table for table in tables if table.rows]
