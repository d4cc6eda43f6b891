"""The judge: asks an engine with a rubric, reads the verdict, and keeps every reply."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeVar

import msgspec

from console.again import asks_nothing, is_dry_run
from console.errors import EngineError, InputError
from console.flags import about_judge, spelled
from engines.advice import more_room
from engines.protocol import (
    Choice,
    Completion,
    Engine,
    Request,
    Sampling,
    Skipped,
    advised,
    choices_from,
    choosing_key,
)
from judges.options import NO_ENDPOINT, OF_CHOICES, Aggregate, JudgeOptions, Reading
from judges.parsing.parse import PARSER_VERSION
from judges.parsing.verdict import How, Sample, Score, is_choice, sample_of, samples_before, score_of, usage_of
from judges.rubrics.calibration import Calibration, check_learned_for, load_calibration
from judges.rubrics.checked import checked_rubric
from judges.rubrics.decisions.questions import question_of, wording
from judges.rubrics.rendering import fill, missing
from judges.rubrics.rubric import Rubric
from records import Comparison, Judgment, Response, Store, Usage, response_key, text_of
from records.keys import content_key, derived_seed
from records.stage import complete

VerdictT = TypeVar("VerdictT", Judgment, Comparison)
EMPTY = "the response is empty"
NOT_ASKED = "not answered: the command had to stop"
NOTHING: Mapping[Any, Any] = {}
NO_SCORE = Score(None, [])


@dataclass(frozen=True)
class Judge:
    """A model with a rubric and a way of reading. `open_judge` makes one from options."""

    engine: Engine
    rubric: Rubric
    read: Reading = "logprobs"
    samples: int = 3
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    aggregate: Aggregate | None = None
    """None is the rubric's own."""
    min_mass: float = 0.0
    checked_by: str = ""
    """The fingerprint of the agent that looks up claims and changes the score, if there is one."""
    row_key: Callable[[Response], str] = response_key
    """Makes the response's own part of a judgment's id."""
    is_asked: bool = True
    """False if the agent's evidence alone gives the score. No question is then asked."""
    min_samples: int | None = None
    """The number of samples that must be answered for a score. None is all."""
    calibration: Calibration | None = None
    """What was learned from labels about this judge."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits of everything that changes a verdict: weights, rubric, template, reading, sampling, parser.

        It follows the engine's digest, which changes once a server refuses a parameter. A judge that is not asked has
        none of these, but the scale and the agent's fingerprint.
        """
        if not self.is_asked:
            return content_key("checked", self.rubric.scale, self.checked_by)
        with about_judge():
            digest = self.engine.digest
        if digest not in self._fingerprints:
            self._fingerprints[digest] = self.fingerprint_with(digest)
        return self._fingerprints[digest]

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return {}

    def fingerprint_with(self, digest: str) -> str:
        """Return the fingerprint for an engine with `digest`."""
        if self.read == "decisions":
            how: tuple[object, ...] = (self.min_mass, wording())
        elif self.read == "logprobs":
            how = (self.min_mass, *choosing_key(self.engine))
        else:
            how = (self.samples, self.sampling_key, self.seed, self.how.aggregate)
        checked = (self.checked_by,) if self.checked_by else ()
        learned = (self.calibration.identity,) if self.calibration else ()
        return content_key(digest, self.rubric.identity, self.read, how, PARSER_VERSION, *checked, *learned)

    @property
    def reading(self) -> str:
        """How its verdicts are read, as rows say it."""
        return self.read if self.is_asked else "checks"

    @property
    def choices_from(self) -> str | None:
        """Where the log-probabilities of its verdicts come from, as rows say it, or None with another reading."""
        return choices_from(self.engine) if self.is_asked and self.read == "logprobs" else None

    @property
    def sampling_key(self) -> tuple[object, ...]:
        """The sampling settings as plain data."""
        return (self.sampling.max_new_tokens, self.sampling.temperature, self.sampling.top_p, self.sampling.stop)

    @cached_property
    def how(self) -> How:
        """The settings by which replies are read and combined."""
        room = more_room(getattr(self.engine, "thinking_tokens", None), self.sampling.max_new_tokens)
        aggregate = self.aggregate or self.rubric.aggregate
        rubric = self.calibration.reweighted(self.rubric) if self.calibration else self.rubric
        return How(rubric, self.read, aggregate, self.min_mass, self.min_samples, room)

    @cached_property
    def n_questions(self) -> int:
        """The number of replies per verdict: one per sample, or with probabilities of choices one per criterion."""
        if not self.is_asked:
            return 0
        return len(self.rubric.labels) if self.read in OF_CHOICES else self.samples

    @property
    def n_calls(self) -> int:
        """The number of calls per verdict. A decision endpoint is asked about all criteria in one."""
        return min(self.n_questions, 1) if self.read == "decisions" else self.n_questions

    def judgment_id(self, response: Response) -> str:
        """Return the key under which the verdict on `response` is stored."""
        return content_key("judgment", self.fingerprint, self.row_key(response))

    def judge(
        self,
        responses: Sequence[Response],
        done: Collection[str] = (),
        unfinished: Mapping[str, Judgment] = NOTHING,
    ) -> Iterator[Judgment]:
        """Yield a verdict for each response whose judgment id is not in `done`, as they become ready.

        `unfinished` has stored judgments by id that lack samples. Only those samples are asked for, and the replies
        and cost of the others stay. If the engine raises an EngineError, or the user stops it, the answered verdicts
        are yielded first. Raises InputError if the rubric compares two answers, EngineError if the engine cannot be
        asked.
        """
        ids = [self.judgment_id(response) for response in responses]
        return self.judge_named(dict(zip(ids, responses, strict=True)), done, unfinished)

    def judge_named(
        self,
        by_id: Mapping[str, Response],
        done: Collection[str] = (),
        unfinished: Mapping[str, Judgment] = NOTHING,
        later: Collection[str] = (),
    ) -> Iterator[Judgment]:
        """Yield the same for responses by their judgment id. The ids in `later` are left out this time."""
        if self.rubric.kind != "score":
            raise InputError(f"the rubric '{self.rubric.name}' compares two answers; score with another one")
        if not self.is_asked:
            todo = (row_id for row_id in by_id if row_id not in done and row_id not in later)
            yield from (self._judgment(row_id, by_id[row_id], [], Usage()) for row_id in todo)
            return
        ids: list[str] = []  # the engine neither plans for a response it cannot be asked about nor takes it for done
        subjects: list[Subject] = []
        for row_id, response in by_id.items():
            texts, is_done, is_later = self.texts(response), row_id in done, row_id in later
            reason = missing(self.rubric, texts) if response.response.strip() else EMPTY
            if reason is None:
                known = samples_before(unfinished[row_id]) if row_id in unfinished else {}
                ids.append(row_id)
                subjects.append(Subject(texts, response.id, known, is_done, is_later))
            elif not (is_done or is_later):
                yield self._judgment(row_id, response, [Sample(None, error=reason)], Usage())
        for replies in ask(self, subjects):
            row_id = ids[replies.index]
            # without the evidence's, which is added again when the judgment is finished
            paid = own_usage(unfinished[row_id]) if row_id in unfinished else Usage()
            yield self._judgment(row_id, by_id[row_id], replies.samples, paid + replies.usage)

    def request(self, response: Response, number: int = 0) -> Request:
        """Return question `number` about `response`: one per sample, or one per criterion."""
        return request(self, self.texts(response), response.id, number)

    def texts(self, response: Response) -> dict[str, str]:
        """Return the texts that fill the rubric's placeholders."""
        texts = {"prompt": text_of(response.prompt), "response": response.response}
        return texts if response.reference is None else texts | {"reference": response.reference}

    def _judgment(self, row_id: str, response: Response, samples: list[Sample], usage: Usage) -> Judgment:
        score = score_of(samples, self.how) if self.is_asked else NO_SCORE
        numbers = [number for number, sample in enumerate(samples) if sample.reply is not None]
        answered = [samples[number] for number in numbers]
        was_asked = bool(answered) or usage.n_calls > 0
        return Judgment(
            id=row_id,
            response_id=response.id,
            prompt_id=response.prompt_id,
            prompt=response.prompt,
            response=response.response,
            model=response.model,
            score=score.value,
            scores=score.values,
            replies=[sample.reply or "" for sample in answered],
            error=score.error,
            spread=score.spread,
            rubric=self.rubric.name,
            judge=self.fingerprint,
            usage=usage,
            read=self.reading,
            choices_from=self.choices_from,
            aggregate=self.how.aggregate if self.is_asked else "",
            finish_reasons=[sample.finish_reason for sample in answered],
            n_samples=len(samples) - len(score.missing),
            missing={str(number): reason for number, reason in score.missing.items()} if was_asked else {},
            reply_samples=numbers,
            mass=score.mass,
            criteria=score.criteria,
            response_finish_reason=response.finish_reason,
        )


def own_usage(judgment: Judgment) -> Usage:
    """Return the usage of the judge's own calls for a stored judgment, without that of the evidence."""
    evidence = (judgment.evidence or {}).get("usage")
    return judgment.usage - msgspec.convert(evidence, Usage) if evidence else judgment.usage


def request(judge: Judge, texts: dict[str, str], key: object, number: int) -> Request:
    """Return question `number` about `texts`. `key` fixes its seed."""
    messages, seed = fill(judge.rubric, judge.read, texts), derived_seed(judge.seed, key, number)
    if judge.read == "decisions":
        return Request(messages, seed, question=question_of(judge.rubric, number))
    if judge.read == "logprobs":
        label = judge.rubric.labels[number]
        return Request(
            messages,
            seed,
            judge.rubric.prefill(label),
            labels=(label, *judge.rubric.other_labels),
            alone=not judge.rubric.criteria,  # with several criteria, a verdict without a name belongs to none
            agrees=partial(is_choice, judge.rubric, label),
        )
    return Request(messages, seed, schema=judge.rubric.schema if judge.read == "structured" else None)


@dataclass(frozen=True)
class Subject:
    """The texts that one verdict is about, and what is known of it before the judge is asked."""

    texts: dict[str, str]
    key: object
    """The key of its seeds."""
    known: Mapping[int, Sample] = field(default_factory=dict)
    """Samples by number that are not asked for again."""
    is_done: bool = False
    """Whether its verdict is complete. The engine counts it as answered."""
    is_later: bool = False
    """Whether it is left out this time, unanswered."""


@dataclass(frozen=True)
class Replies:
    """Every sample of one subject."""

    index: int
    """The place of the subject."""
    samples: list[Sample]
    usage: Usage
    """The usage of the calls that were made for it now."""


@dataclass(frozen=True)
class Requests(Sequence[Request]):
    """The questions about `subjects`, made one by one as they are asked, so that a server need not wait for all."""

    judge: Judge
    subjects: Sequence[Subject]

    def __len__(self) -> int:
        return len(self.subjects) * self.judge.n_questions

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return [self[index] for index in range(*position.indices(len(self)))]
        if not 0 <= position < len(self):
            raise IndexError(position)
        index, number = divmod(position, self.judge.n_questions)
        subject = self.subjects[index]
        return request(self.judge, subject.texts, subject.key, number)


def ask(judge: Judge, subjects: Sequence[Subject]) -> Iterator[Replies]:
    """Yield the replies on each subject that is neither done nor left for later, as it becomes complete.

    An EngineError, or a KeyboardInterrupt while the engine is waited for, is raised after everything answered so far
    was yielded.
    """
    n, choices = judge.n_questions, judge.rubric.logprobs.choices
    wanted = {index for index, subject in enumerate(subjects) if not (subject.is_done or subject.is_later)}
    # The engine gets the skipped questions too, so that it plans the same batches in a run that is resumed.
    requests, skipped = Requests(judge, subjects), Skipped()
    for index, subject in enumerate(subjects):
        # The numbers of a subject's questions follow each other, as in `Requests`.
        skipped |= {index * n + number for number in (subject.known if index in wanted else range(n))}
    skipped.answered = any(subject.is_done or subject.known for subject in subjects)
    answers: Iterator[Completion] | Iterator[Choice]
    if judge.read in OF_CHOICES:
        answers = advised(judge.engine.choose(requests, choices, skipped), "use --read text")
    else:
        answers = judge.engine.generate(requests, judge.sampling, skipped)
    waiting: dict[int, dict[int, Completion | Choice]] = {}

    def all_of(index: int) -> Replies:
        answers_by_number = waiting.pop(index, {})
        by_number = {
            **subjects[index].known,
            **{number: sample_of(answer, choices) for number, answer in answers_by_number.items()},
        }
        usage = sum(map(usage_of, answers_by_number.values()), Usage())
        return Replies(index, [by_number.get(number) or Sample(None, error=NOT_ASKED) for number in range(n)], usage)

    # Subjects with every sample known come first: no answer of the engine would make them complete.
    yield from (all_of(index) for index in sorted(wanted) if len(subjects[index].known) >= n)
    try:
        for answer in answers:
            index, number = divmod(answer.index, n)
            waiting.setdefault(index, {})[number] = answer
            if len(waiting[index]) + len(subjects[index].known) == n:
                yield all_of(index)
    except (EngineError, KeyboardInterrupt) as error:
        yield from (all_of(index) for index in list(waiting))  # keeps what is paid for
        if isinstance(error, EngineError):
            raise EngineError(spelled(str(error), of_judge=True)) from None
        raise


def open_judge(engine: Engine, options: JudgeOptions, seed: int) -> Judge:
    """Return the judge that `options` describe, with its calibration if it has one.

    With --read decisions the judge asks the decision endpoint of the engine's server. Raises InputError if it has none,
    if a setting is out of range, or if the calibration is another judge's or rubric's.
    """
    rubric = checked_rubric(options)
    if options.read == "decisions":
        if asks_nothing() and not is_dry_run():
            raise InputError("--read decisions: a batch holds chat completions; give --read text")
        if not hasattr(engine, "deciding"):
            raise InputError(spelled(NO_ENDPOINT, of_judge=True))
        decisions = engine.deciding()
        decisions.check_limits(len(rubric.labels), len(rubric.logprobs.choices))
        engine = decisions
    judge = judge_with(engine, options, seed)
    if options.calibration is None:
        return judge
    calibration = load_calibration(options.calibration, rubric)
    if not (is_dry_run() and hasattr(engine, "digests_with_less")):  # then a server is not asked what it serves
        others = map(judge.fingerprint_with, getattr(engine, "digests_with_less", ()))
        check_learned_for(calibration, options.calibration, [judge.fingerprint, *others])
    return replace(judge, calibration=calibration)


def judge_with(engine: Engine, options: JudgeOptions, seed: int) -> Judge:
    """Return the judge that `options` describe with an engine that answers as --read says."""
    rubric = checked_rubric(options)
    sampling = Sampling(options.max_new_tokens, options.temperature, options.top_p)
    how = (options.aggregate, options.min_mass)
    return Judge(engine, rubric, options.read, options.samples, sampling, seed, *how, min_samples=options.min_samples)


Finish = Callable[[Response, Judgment], Judgment]
"""Changes a judgment before it is stored, for example by its evidence."""


def as_it_is(_: Response, judgment: Judgment) -> Judgment:
    """Return `judgment` unchanged."""
    return judgment


def judge_into(
    store: Store[Judgment], judge: Judge, responses: Sequence[Response], title: str, finish: Finish = as_it_is
) -> list[Judgment]:
    """Judge the responses that `store` lacks and return the judgments of all `responses` in order."""
    wanted = [judge.judgment_id(response) for response in responses]
    by_id = dict(zip(wanted, responses, strict=True))
    judgments = judge.judge(responses, store.ids, store.unfinished(wanted))
    rows = (finish(by_id[judgment.id], judgment) for judgment in judgments)
    return complete(store, wanted, rows, title)


def has_every_reply(judgment: Judgment) -> bool:
    """Return whether a stored judgment is complete. A failed call makes it incomplete, a bad reply does not."""
    if judgment.n_samples is not None:
        return {int(number) for number in judgment.missing} <= set(judgment.reply_samples)
    n_asked = 1 if judgment.read in OF_CHOICES else len(judgment.scores)  # a row of an earlier version
    return judgment.usage.n_calls == 0 or len(judgment.replies) >= n_asked
