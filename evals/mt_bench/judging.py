"""The judge's part: a score for each answer, or two games for each, by the rubric of its kind of question."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from console.flags import about_judge
from engines.options import open_engine
from engines.protocol import Engine
from evals.comparing.asking import ask_verdicts
from evals.comparing.there import comparisons_there
from evals.mt_bench.benchmark import KINDS, Kind, kind_of, rubric_of
from evals.mt_bench.files.questions import N_TURNS, Question
from evals.mt_bench.options import Config
from evals.mt_bench.sources import Benchmark
from evals.mt_bench.stages import Texts, asked_at, asking_of, conversation
from judges.judging.coverage import say_little_mass
from judges.judging.judge import Judge, has_every_reply, judge_into, open_judge
from judges.judging.pairwise import Contest, comparison_id
from judges.judging.settle import settle_shared
from judges.options import JudgeOptions
from records import Comparison, Judgment, Message, Response, Store, read_rows, text_of
from records.keys import content_key
from records.names import folder_name

Place = tuple[str, int]
"""The id of a question, and a turn of it from 1."""
ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Judges:
    """The judge of each kind of question, and the name that its rows carry."""

    by_rubric: dict[str, Judge]
    name: str
    config: Config

    def of(self, kind: Kind) -> Judge:
        """Return the judge of a kind of question."""
        return self.by_rubric[rubric_of(kind, self.config.mode, self.config.judge.judge_rubric)]

    def judging(self, rubric: str) -> JudgeOptions:
        """Return the judge's settings with a rubric."""
        return replace(self.config.judge, judge_rubric=rubric).judge_options()


def open_judges(config: Config, engine: Engine | None) -> Judges:
    """Return the judge with the rubric of each kind, whose fingerprints together are in its name.

    No model is loaded yet. The judge is asked through `engine` if it is the evaluated model itself.
    """
    options = config.judge.engine_options(config.engine)
    kinds = [kind for kind in KINDS if kind.turn <= N_TURNS[config.bench]]
    rubrics = dict.fromkeys(rubric_of(kind, config.mode, config.judge.judge_rubric) for kind in kinds)
    with about_judge():
        opened = open_engine(options) if engine is None or options != config.engine else engine
        settings = {rubric: replace(config.judge, judge_rubric=rubric).judge_options() for rubric in rubrics}
        judges = {rubric: open_judge(opened, judging, config.seed) for rubric, judging in settings.items()}
    return Judges(judges, f"{opened.name}-{content_key([judge.fingerprint for judge in judges.values()])}", config)


def answers_to_judge(benchmark: Benchmark, texts: Texts, model: str) -> dict[Place, Response]:
    """Return the answer of each turn as the judge sees it: the conversation before it, and its reference."""
    answers: dict[Place, Response] = {}
    for question in benchmark.questions:
        for turn, text in enumerate(texts.get(question.id, ()), start=1):
            prompt = asked_at(question, texts[question.id], turn)
            answers[question.id, turn] = Response(
                id=content_key("mt_bench", model, question.id, turn, prompt, text),
                prompt_id=f"{question.id}-{turn}",
                prompt=prompt,
                response=text,
                model=model,
                reference=_reference(benchmark, question, turn),
            )
    return answers


def contests_to_judge(benchmark: Benchmark, texts: Texts, model: str) -> dict[Place, Contest]:
    """Return the contest of each turn with the baseline's answer, which is answer b."""
    contests: dict[Place, Contest] = {}
    if benchmark.baseline is None:
        return contests
    for question in benchmark.questions:
        for turn in range(1, len(texts.get(question.id, ())) + 1):
            baseline = [text or "" for text in benchmark.baseline.by_id[question.id]]
            contests[question.id, turn] = Contest(
                f"{question.id}-{turn}",
                _shown(question, None, turn),
                text_of(_shown(question, texts[question.id], turn)),
                text_of(_shown(question, baseline, turn)),
                model,
                benchmark.baseline.model,
                _reference(benchmark, question, turn),
            )
    return contests


def judge_answers(
    judges: Judges, benchmark: Benchmark, answers: Mapping[Place, Response], folder: Path
) -> dict[Place, Judgment]:
    """Return the score of each answer. The judgments by each rubric are stored in a file of their own."""
    config = judges.config

    def ask(rubric: str, judge: Judge, wanted: Mapping[Place, Response]) -> dict[Place, Judgment]:
        path, rows = _scores_path(folder, judge), list(wanted.values())
        with Store(path, Judgment, keep=has_every_reply, fresh=config.fresh) as store:
            if not config.fresh:
                settle_shared(judge, store, lambda: judge.request(rows[0]))
            judged = {j.response_id: j for j in judge_into(store, judge, rows, f"{judge.engine.name} judging")}
        say_little_mass(list(judged.values()), judge.engine.name)
        return {place: judged[response.id] for place, response in wanted.items() if response.id in judged}

    return _by_rubric(judges, benchmark, answers, ask)


def compare_answers(
    judges: Judges, benchmark: Benchmark, contests: Mapping[Place, Contest], folder: Path
) -> dict[Place, Comparison]:
    """Return the verdict on each contest. Those by each rubric are stored in a file of their own."""
    config = judges.config
    options = config.judge.engine_options(config.engine)

    def ask(rubric: str, judge: Judge, wanted: Mapping[Place, Contest]) -> dict[Place, Comparison]:
        path = _games_path(folder, judge)
        rows = ask_verdicts(judge, options, judges.judging(rubric), list(wanted.values()), path, asking_of(config))
        ids = {place: comparison_id(judge, contest) for place, contest in wanted.items()}
        return {place: rows[row_id] for place, row_id in ids.items() if row_id in rows}

    return _by_rubric(judges, benchmark, contests, ask)


def n_verdicts_there(judges: Judges, benchmark: Benchmark, texts: Texts, model: str, folder: Path) -> int:
    """Return the number of turns whose score or games are stored already."""
    if judges.config.fresh:
        return 0
    if judges.config.mode == "single":

        def scored(_: str, judge: Judge, wanted: Mapping[Place, Response]) -> dict[Place, bool]:
            path = _scores_path(folder, judge)
            done = {row.id for row in read_rows(path, Judgment) if has_every_reply(row)} if path.exists() else set()
            return {place: True for place, answer in wanted.items() if judge.judgment_id(answer) in done}

        return len(_by_rubric(judges, benchmark, answers_to_judge(benchmark, texts, model), scored))

    def compared(_: str, judge: Judge, wanted: Mapping[Place, Contest]) -> dict[Place, bool]:
        done = comparisons_there(_games_path(folder, judge), fresh=False)
        return {place: True for place, contest in wanted.items() if comparison_id(judge, contest) in done}

    return len(_by_rubric(judges, benchmark, contests_to_judge(benchmark, texts, model), compared))


def _scores_path(folder: Path, judge: Judge) -> Path:
    return folder / f"judgments-{folder_name(judge.rubric.name)}.jsonl"


def _games_path(folder: Path, judge: Judge) -> Path:
    return folder / f"comparisons-{folder_name(judge.rubric.name)}.jsonl"


VerdictT = TypeVar("VerdictT")


def _by_rubric(
    judges: Judges,
    benchmark: Benchmark,
    items: Mapping[Place, ItemT],
    ask: Callable[[str, Judge, Mapping[Place, ItemT]], dict[Place, VerdictT]],
) -> dict[Place, VerdictT]:
    categories = {question.id: question.category for question in benchmark.questions}
    verdicts: dict[Place, VerdictT] = {}
    for rubric, judge in judges.by_rubric.items():
        wanted = {p: item for p, item in items.items() if judges.of(kind_of(categories[p[0]], p[1])) is judge}
        if wanted:
            verdicts |= ask(rubric, judge, wanted)
    return verdicts


def _shown(question: Question, texts: Sequence[str] | None, turn: int) -> str | list[Message]:
    """Return what the judge sees of a side, or for None of the requests alone."""
    if turn == 1:
        return question.turns[0] if texts is None else texts[0]
    if texts is None:
        return [{"role": "user", "content": request} for request in question.turns[:turn]]
    return conversation(question, texts[:turn])


def _reference(benchmark: Benchmark, question: Question, turn: int) -> str | None:
    """Return the reference answer, or for the second turn the conversation with those to both requests."""
    if question.id not in benchmark.references or not kind_of(question.category, turn).has_reference:
        return None
    references = [text or "" for text in benchmark.references[question.id]]
    return references[0] if turn == 1 else text_of(conversation(question, references[:turn]))
