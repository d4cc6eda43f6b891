"""Gathers a round's training data: prompts, the model's answers, its judgments, and pairs made of them.

Each stage reads files and writes a file, so an interrupted round resumes. The training data are written last.
"""

import gc
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from console.errors import JudgeError, TrainingError
from engines.answers import answer_into
from engines.options import EngineOptions
from engines.protocol import Engine, Sampling
from judges.judging.coverage import check_coverage
from judges.judging.judge import open_judge
from judges.judging.pairwise import both_orders_answered
from judges.judging.question import load_question
from judges.options import JudgeOptions
from judges.rubrics.rubric import load_rubric
from judges.tools import choice
from judges.tools.claims import claims
from judges.tools.claims.verifier import SHOWN_WORDS
from judges.tools.constraints.asking import asking_question
from judges.tools.options import EvidenceOptions
from judges.tools.scores import PairRule
from records import Comparison, Judgment, Pair, Prompt, Response, Store, read_rows
from records.rows import prompt_key
from records.runs import Run
from records.store import latest, write_atomic, write_rows
from trainer.loop.judging.answers import RoundJudges, round_judging_work
from trainer.loop.judging.judges import is_of_run, round_judges
from trainer.loop.plan.work import CHARS_PER_TOKEN, Lengths, Work, answering_work, judging_work
from trainer.loop.recipe import CandidateOptions, Config, RoundOptions
from trainer.pairs.consistency import measure_consistency, with_consistency
from trainer.pairs.meta import META_RUBRIC, meta_pairs, mixed
from trainer.pairs.options import MetaOptions, PairOptions
from trainer.pairs.pairing import PairCounts, make_pairs, positive_chats
from trainer.pairs.temporal import temporal_pairs
from trainer.runs.models import open_model

Level = Literal["set", "prompt"]
"""The consistency of a pair: the mean over all prompts, or that of its own prompt."""
PAIR_COUNTS = "pair_counts.json"
"""The outcomes of a round's prompts in making pairs, stored beside pairs.jsonl."""
MOST_JUDGED = ", at most all answers"
"""Ends the name of a stage that judges only the answers to prompts whose evidence allows a pair."""
WORD_TOKENS = 4 / 3
"""Tokens per English word, about."""


def gather(run: Run, number: int, prompts: list[Prompt], config: Config, engine: Engine | None = None) -> None:
    """Write prompts, responses, judgments and, last, pairs or chats of iteration `number`.

    `engine` is the judge's, if it is given, whichever judge the recipe names.
    """
    folder, name = run.iteration(number), f"iter{number}"
    write_rows(folder / "prompts.jsonl", prompts)
    initial = _initial_answers(run, number, prompts, config) if config.round.rejected == "iter0" else None
    parent = open_model(run, number - 1, config.engine)
    path = folder / "responses.jsonl"
    responses = candidates(path, parent, prompts, config.candidates, config.seed, f"{name} candidates")
    by_parent = engine is None and not round_judges(config.judge, config.panel)
    engine = parent if by_parent else engine
    del parent  # `engine` keeps it alive if it is the judge
    if not by_parent:
        gc.collect()  # another judge needs the memory
    judges = RoundJudges(run, number - 1, config, engine)
    judgments = judges.judge(
        folder / "judgments.jsonl", responses, f"{name} judging", config.evidence, pair_rule=pair_rule(config)
    )
    check_coverage(judgments, config.judge.min_coverage)
    if initial is None:
        check_signal(judgments)
    else:
        judges.judge(folder / "initial_judgments.jsonl", initial, f"{name} judging iter0", config.evidence)
    if config.round.learn == "perfect":
        chats = positive_chats(judgments, config.round.perfect_score)
        write_rows(folder / "chats.jsonl", [{"messages": chat} for chat in chats])
        return
    meta: list[Pair] = []
    if config.round.meta:
        assert engine is not None
        meta = _meta(folder, engine, judgments, config.judge, config.meta, config.seed)
    del engine, judges
    gc.collect()  # pair making and training need the memory
    # read back from the files and not from memory, so that a resumed round makes the same pairs
    pairs, counts = pairs_of(folder, config.round, config.pairs, config.seed)
    write_atomic(folder / PAIR_COUNTS, msgspec.json.format(msgspec.json.encode(counts)))
    if config.round.consistency != "off":
        level: Level = "prompt" if config.round.consistency == "prompt" else "set"
        pairs = _consistent(run, number, pairs, responses, config.engine, level)
    # last, because this file tells that the round is gathered
    write_rows(folder / "pairs.jsonl", mixed(pairs, meta, config.meta.max_share, config.seed) if meta else pairs)


def pair_rule(config: Config) -> PairRule | None:
    """Return the rule by which the evidence alone tells that a prompt gives no pair, or None if all are judged.

    The pairs are the same as if all were judged.
    """
    rule, options, is_free = config.pairs.evidence, config.round, not config.evidence.asks_rubric
    if rule == "any" or not config.evidence.enabled or is_free:
        return None
    # people's votes overrule the evidence, and the others learn from answers that are in no pair
    others = config.pairs.votes is not None or options.learn != "pairs" or options.rejected == "iter0" or options.meta
    return None if others else rule


def pairs_of(
    folder: Path, options: RoundOptions, pair_options: PairOptions, seed: int
) -> tuple[list[Pair], PairCounts]:
    """Return the pairs from the stored judgments of an iteration in `folder`, and the counts of its prompts.

    The pairs are in the order of the prompts, because batching leaves the judgments in another one.
    """
    places = {prompt.id: place for place, prompt in enumerate(read_rows(folder / "prompts.jsonl", Prompt))}

    def stored(name: str) -> list[Judgment]:
        rows = latest(read_rows(folder / name, Judgment))
        return sorted(rows, key=lambda judgment: (places[judgment.prompt_id], judgment.response_id))

    judgments = stored("judgments.jsonl")
    if options.rejected == "iter0":
        initial = stored("initial_judgments.jsonl")
        return temporal_pairs(initial, judgments, pair_options, seed)
    return make_pairs(judgments, pair_options, seed)


def pair_counts(folder: Path, options: RoundOptions, pair_options: PairOptions, seed: int) -> PairCounts:
    """Return the stored counts of an iteration in `folder`."""
    path = folder / PAIR_COUNTS
    if not path.exists():  # an earlier version made the pairs and stored no counts
        return pairs_of(folder, options, pair_options, seed)[1]
    return msgspec.json.decode(path.read_bytes(), type=PairCounts)


def candidates(
    path: Path, engine: Engine, prompts: list[Prompt], options: CandidateOptions, seed: int, title: str
) -> list[Response]:
    """Return `options.n` answers per prompt, generating those that `path` does not hold."""
    sampling = Sampling(options.max_new_tokens, options.temperature, options.top_p)
    with Store(path, Response) as store:
        return answer_into(store, engine, prompts, sampling, n=options.n, seed=seed, title=title)


def _initial_answers(run: Run, number: int, prompts: list[Prompt], config: Config) -> list[Response]:
    engine = open_model(run, 0, config.engine)
    path = run.iteration(number) / "initial_responses.jsonl"
    responses = candidates(path, engine, prompts, config.candidates, config.seed, f"iter{number} answers of iter0")
    del engine
    gc.collect()
    return responses


def _meta(
    folder: Path,
    engine: Engine,
    judgments: Sequence[Judgment],
    judge_options: JudgeOptions,
    options: MetaOptions,
    seed: int,
) -> list[Pair]:
    meta_judge = open_judge(engine, replace(judge_options, rubric=META_RUBRIC, samples=1, calibration=None), seed)
    with Store(folder / "meta_comparisons.jsonl", Comparison, keep=both_orders_answered) as store:
        pairs, _ = meta_pairs(judgments, load_rubric(judge_options.rubric), meta_judge, store, options)
    return pairs


def _consistent(
    run: Run, number: int, pairs: list[Pair], responses: list[Response], options: EngineOptions, level: Level
) -> list[Pair]:
    """Return the pairs with the last two models' agreement as confidence. Raises TrainingError if none is left."""
    now, before, reference = run.model(number - 1), run.model(number - 2), run.model(0)
    folder = run.iteration(number)
    consistency = measure_consistency(
        responses, now, before, reference, folder, options.batch_size, options.chat_template_kwargs
    )
    labelled = with_consistency(pairs, consistency, level)
    if pairs and not labelled:
        raise TrainingError(
            f"iter{number}: the last two models cannot be compared on any prompt; use --round.consistency off"
        )
    return labelled


def gathering_work(number: int, lengths: Lengths, config: Config) -> Iterator[Work]:
    """Yield the work of gathering the training data of iteration `number`."""
    name, options, n_answers = f"iter{number}", config.judge, config.candidates.prompts * config.candidates.n
    n_judged, judged = n_answers, [f"{name}/judgments.jsonl"]
    if config.round.rejected == "iter0":
        of_iter0 = answering_work(f"{name} answers of iter0", n_answers, lengths)
        yield replace(of_iter0, files=(f"{name}/initial_responses.jsonl",))
        n_judged += n_answers
        judged.append(f"{name}/initial_judgments.jsonl")
    yield replace(answering_work(f"{name} candidates", n_answers, lengths), files=(f"{name}/responses.jsonl",))
    judges = round_judges(config.judge, config.panel)
    files = tuple(judged) if len(judges) < 2 else ()  # each judge of a panel has files of its own
    if config.evidence.enabled:
        evidence = evidence_work(f"{name} evidence, at most", n_judged, lengths, config.evidence)
        # all() of no judges is true: the parent alone
        is_own = all(is_of_run(engine) for engine, _ in judges)
        yield replace(evidence, is_own=is_own, files=files, n_results=n_judged)
    if config.evidence.asks_rubric:
        most = MOST_JUDGED if pair_rule(config) else ""
        for work in round_judging_work(f"{name} judging", number - 1, n_judged, lengths, config):
            yield replace(work, stage=f"{work.stage}{most}", files=files, n_results=n_judged)
    if config.round.meta:
        yield _meta_work(f"{name} meta-judging, at most", config.candidates.prompts, lengths, options)
    if config.round.consistency != "off":
        n_answer = lengths.prompt + lengths.answer
        # three models read all answers: the parent, its parent and iter0
        yield Work(f"{name} consistency", "answer", n_read=3 * n_answers * n_answer, n_widest=lengths.rows * n_answer)


def evidence_work(stage: str, n: int, lengths: Lengths, options: EvidenceOptions) -> Work:
    """Return the calls for evidence, if every answer has the most claims and each claim the most passages.

    A model that names the constraints is asked about each answer's prompt, and reads the table of kinds with it.
    """
    n_shown = lengths.prompt + lengths.answer
    tools = load_question("tool", choice.HERE).choices
    stances = load_question("stance", claims.HERE).choices
    searches = options.tool in ("auto", "search")
    n_tools = n * len(tools) if options.tool == "auto" else 0
    n_claims = n if searches and options.claims == "model" else 0
    n_stances = n * options.max_claims * options.k * len(stances) if searches and options.verifier == "judge" else 0
    n_passage, n_new = round(SHOWN_WORDS * WORD_TOKENS), claims.SAMPLING.max_new_tokens
    n_named = n if options.constraints == "ask" else 0
    n_table = len(asking_question().prompt) // CHARS_PER_TOKEN if n_named else 0
    return Work(
        stage,
        "judge",
        n_calls=n_tools + n_claims + n_stances + n_named,
        n_read=(n_tools + n_claims) * n_shown + n_stances * n_passage + n_named * (lengths.prompt + n_table),
        n_written=(n_claims + n_named) * n_new,
        n_widest=lengths.rows * max(n_shown + n_new, n_passage, n_table + lengths.prompt + n_new),
    )


def _meta_work(stage: str, n_prompts: int, lengths: Lengths, options: JudgeOptions) -> Work:
    """Return the comparisons, if all judgments of one answer per prompt differ, each in both orders."""
    n = 2 * n_prompts * math.comb(options.samples, 2)
    n_shown = lengths.answer + 2 * options.max_new_tokens
    return judging_work(stage, n, load_rubric(META_RUBRIC), replace(options, samples=1), lengths, n_shown)


SAME_SCORE = 1e-3
"""Scores closer than this count as equal, because an expected score of a constant judge varies in its last digits."""


def check_signal(judgments: Sequence[Judgment]) -> None:
    """Raise JudgeError if the judge ties all answers to every prompt, because there is then nothing to learn from.

    Prompts with fewer than two scored answers are ignored. If no prompt has two, coverage is the problem.
    """
    by_prompt: dict[str, list[float]] = {}
    for judgment in judgments:
        if judgment.score is not None:
            by_prompt.setdefault(prompt_key(judgment), []).append(judgment.score)
    several = [scores for scores in by_prompt.values() if len(scores) > 1]
    if not several or any(max(scores) - min(scores) > SAME_SCORE for scores in several):
        return
    scores = [round(score / SAME_SCORE) * SAME_SCORE for scores in by_prompt.values() for score in scores]
    (commonest, n_commonest), top = Counter(scores).most_common(1)[0], max(scores)
    raise JudgeError(
        f"the judge tells no two answers apart: all {len(several)} prompts with two scored answers or more are tied; "
        f"{n_commonest} of {len(scores)} scores are {commonest:g}, and {scores.count(top)} the highest, {top:g}. "
        "Try --judge.read logprobs, another --judge.rubric or judge, more --candidates.n, or a higher "
        "--candidates.temperature"
    )
