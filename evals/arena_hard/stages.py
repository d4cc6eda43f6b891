"""The two stages that ask a model: it answers the questions, and the judge compares its answers in two games each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from engines.protocol import Engine, Sampling
from evals.arena_hard.benchmark import LEVELS, rubric_of, rubrics_of
from evals.arena_hard.files.questions import Question
from evals.arena_hard.files.writing import ORDERS, game_rows, judged_row
from evals.arena_hard.options import Config
from evals.arena_hard.scoring.battles import Game, Judged
from evals.arena_hard.sources import Benchmark
from evals.comparing.asking import Asking, ask_answers, ask_verdicts
from evals.comparing.judge import open_pairwise_judge
from evals.comparing.matching import stripped
from judges.judging.judge import Judge, open_judge
from judges.judging.orders import all_samples
from judges.judging.pairwise import Contest, comparison_id
from judges.options import OF_CHOICES, JudgeOptions
from judges.parsing.verdict import Sample, score_of
from records import Comparison, Prompt, Response
from records.files import Record
from records.keys import content_key
from records.names import folder_name

UNANSWERED = "the model gave no answer"
NOT_ASKED = "the game was not asked"


@dataclass(frozen=True)
class Judges:
    """The judge with each rubric of a version, and the name that its rows carry."""

    by_rubric: dict[str, Judge]
    name: str

    def of(self, category: str, config: Config) -> Judge:
        """Return the judge of a category."""
        return self.by_rubric[rubric_of(category, config.judge.judge_rubric)]


@dataclass(frozen=True)
class Games:
    """The judged prompts, and their rows as arena-hard-auto has them."""

    judged: list[Judged]
    rows: list[Record]


def open_judges(config: Config, engine: Engine | None) -> Judges:
    """Return the judge with each rubric, whose fingerprints together are in its name. No model is loaded yet."""
    rubrics = rubrics_of(config.version, config.judge.judge_rubric)
    flags = replace(config.judge, judge_rubric=rubrics[0])
    first = open_pairwise_judge(flags, config.engine, engine, config.seed)
    judges = {rubrics[0]: first}
    for rubric in rubrics[1:]:
        judges[rubric] = open_judge(first.engine, judging_of(config, rubric), config.seed)
    prints = [judge.fingerprint for judge in judges.values()]
    return Judges(judges, f"{first.engine.name}-{prints[0] if len(prints) == 1 else content_key(prints)}")


def judging_of(config: Config, rubric: str) -> JudgeOptions:
    """Return the judge's settings with a rubric."""
    return replace(config.judge, judge_rubric=rubric).judge_options()


def sampling_of(config: Config) -> Sampling:
    """Return the settings of the answers."""
    return Sampling(config.max_new_tokens, config.temperature, config.top_p)


def prompts_of(questions: Sequence[Question]) -> list[Prompt]:
    """Return the questions as prompts."""
    return [Prompt(id=question.uid, prompt=question.prompt, source=question.category) for question in questions]


def answer(engine: Engine, benchmark: Benchmark, folder: Path, config: Config) -> dict[str, Response]:
    """Return the model's answers by the ids of the questions, without reasoning. They are stored in responses.jsonl."""
    prompts, path = prompts_of(benchmark.questions), folder / "responses.jsonl"
    rows = ask_answers(engine, config.engine, prompts, sampling_of(config), path, asking_of(config))
    return {response.prompt_id: stripped(response) for response in rows}


def asking_of(config: Config) -> Asking:
    """Return the settings that answers and verdicts share."""
    return Asking(config.seed, config.fresh, config.scale)


def contests_of(benchmark: Benchmark, texts: Mapping[str, str], model: str) -> dict[str, Contest]:
    """Return the contest of each answered question: the baseline's answer is answer a."""
    contests: dict[str, Contest] = {}
    for question in benchmark.questions:
        baseline = benchmark.baselines[question.category]
        text = texts.get(question.uid)
        if text is not None:
            of_baseline = baseline.by_uid[question.uid].text or ""
            contests[question.uid] = Contest(question.uid, question.prompt, of_baseline, text, baseline.model, model)
    return contests


def judge_games(
    judges: Judges, benchmark: Benchmark, contests: Mapping[str, Contest], model: str, folder: Path, config: Config
) -> Games:
    """Return both games of each question. The verdicts of each rubric are stored in a file of their own."""
    verdicts: dict[str, Comparison] = {}
    options = config.judge.engine_options(config.engine)
    for rubric, judge in judges.by_rubric.items():
        of_rubric = [q.uid for q in benchmark.questions if judges.of(q.category, config) is judge]
        wanted = [contests[uid] for uid in of_rubric if uid in contests]
        if wanted:
            path = comparisons_path(folder, judge)
            verdicts |= ask_verdicts(judge, options, judging_of(config, rubric), wanted, path, asking_of(config))
    judged: list[Judged] = []
    rows: list[Record] = []
    for question in benchmark.questions:
        judge, contest = judges.of(question.category, config), contests.get(question.uid)
        verdict = verdicts.get(comparison_id(judge, contest)) if contest else None
        games = _games(judge, verdict) if contest else (Game(None, UNANSWERED), Game(None, UNANSWERED))
        baseline = benchmark.baselines[question.category].model
        judged.append(Judged(question.uid, question.category, judges.name, model, baseline, games))
        rows.append(judged_row(judged[-1], game_rows(judge, contest, verdict, games)))
    return Games(judged, rows)


def comparisons_path(folder: Path, judge: Judge) -> Path:
    """Return the file of the verdicts by a rubric."""
    return folder / f"comparisons-{folder_name(judge.rubric.name)}.jsonl"


def _games(judge: Judge, verdict: Comparison | None) -> tuple[Game, Game]:
    if verdict is None:
        return Game(None, NOT_ASKED), Game(None, NOT_ASKED)
    by_order = all_samples(verdict)
    first, second = (_game(judge, by_order.get(order, []), verdict) for order in ORDERS)
    return first, second


def _game(judge: Judge, samples: Sequence[Sample], verdict: Comparison) -> Game:
    """Return the verdict of one game: the one that the reply gives, or the likeliest of the five."""
    if not samples:
        return Game(None, verdict.error or NOT_ASKED)
    score = score_of(samples, judge.how)
    if score.value is None:
        return Game(None, score.error or "no verdict")
    if judge.read not in OF_CHOICES:
        return Game(LEVELS[score.value])
    return Game(LEVELS[judge.rubric.values[_likeliest(judge, samples[0])]])


def _likeliest(judge: Judge, sample: Sample) -> str:
    """Return the choice with the highest log-probability in a stored distribution."""
    logprobs = msgspec.json.decode(sample.reply or "{}", type=dict[str, float | None])
    known = {
        choice: logprob for choice in judge.rubric.logprobs.choices if (logprob := logprobs.get(choice)) is not None
    }
    return max(known, key=lambda choice: known[choice])
