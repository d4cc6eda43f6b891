"""The judge: asks an engine with a rubric, reads the verdict, and keeps everything that was said."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean, pstdev

from console.errors import InputError, JudgeError
from engines.protocol import Choice, Completion, Engine, Request, Sampling
from judges.options import JudgeOptions, Reading
from judges.parse import PARSER_VERSION, parse_score
from judges.rubric import Rubric, load_rubric
from judges.template import fill
from records import Judgment, Response, Store, Usage, text_of
from records.keys import content_key, derived_seed
from records.stage import complete


@dataclass(frozen=True)
class Judge:
    """A model with a rubric and a way of reading; make it with `open_judge`."""

    engine: Engine
    rubric: Rubric
    read: Reading = "logprobs"
    samples: int = 3
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of everything that changes a verdict: weights, rubric, template, reading, sampling, parser."""
        how = (self.samples, self.sampling_key, self.seed) if self.read == "text" else ()
        rubric = self.rubric
        asked = (rubric.kind, rubric.prompt, getattr(rubric.closing, self.read), rubric.label, rubric.low, rubric.high)
        return content_key(self.engine.digest, *asked, rubric.logprobs, self.read, how, PARSER_VERSION)

    @property
    def sampling_key(self) -> tuple[object, ...]:
        """The sampling settings as plain data."""
        return (self.sampling.max_new_tokens, self.sampling.temperature, self.sampling.top_p, self.sampling.stop)

    def judgment_id(self, response: Response) -> str:
        """Return the key under which the verdict on `response` is stored."""
        return content_key("judgment", self.fingerprint, response.id, response.prompt, response.response)

    def judge(self, responses: Sequence[Response], done: Collection[str] = ()) -> Iterator[Judgment]:
        """Yield a verdict for each response whose judgment id is not in `done`, as they become ready."""
        if self.rubric.kind != "score":
            raise InputError(f"the rubric '{self.rubric.name}' compares two answers; score with another one")
        skip = {index for index, response in enumerate(responses) if self.judgment_id(response) in done}
        askable = [bool(response.response.strip()) for response in responses]
        for index, response in enumerate(responses):
            if index not in skip and not askable[index]:
                skip.add(index)
                yield self._judgment(response, [], [], None, "the response is empty", Usage())
        yield from (self._by_text if self.read == "text" else self._by_logprobs)(responses, skip)

    def request(self, response: Response, sample: int = 0) -> Request:
        """Return what the judge is asked about `response`."""
        texts = {"prompt": text_of(response.prompt), "response": response.response}
        prefill = self.rubric.logprobs.prefill if self.read == "logprobs" else ""
        return Request(fill(self.rubric, self.read, texts), derived_seed(self.seed, response.id, sample), prefill)

    def _by_logprobs(self, responses: Sequence[Response], skip: set[int]) -> Iterator[Judgment]:
        requests = [self.request(response) for response in responses]
        for choice in self.engine.choose(requests, self.rubric.logprobs.choices, skip):
            expected, spread, error = expected_score(choice, self.rubric.values())
            usage = Usage(n_calls=1, n_prompt_tokens=choice.n_prompt_tokens, n_tokens=choice.n_tokens)
            replies = [] if choice.error else [_distribution(choice, self.rubric.logprobs.choices)]
            yield self._judgment(responses[choice.index], [expected], replies, spread, error, usage)

    def _by_text(self, responses: Sequence[Response], skip: set[int]) -> Iterator[Judgment]:
        n = self.samples
        requests = [self.request(response, sample) for response in responses for sample in range(n)]
        skipped = {index * n + sample for index in skip for sample in range(n)}
        waiting: dict[int, list[Completion]] = {}
        for completion in self.engine.generate(requests, self.sampling, skipped):
            index = completion.index // n
            waiting.setdefault(index, []).append(completion)
            if len(waiting[index]) == n:
                yield self._from_replies(responses[index], sorted(waiting.pop(index), key=lambda c: c.index))

    def _from_replies(self, response: Response, completions: list[Completion]) -> Judgment:
        scores, errors = [], []
        for completion in completions:
            score, error = self._score_of(completion)
            scores.append(score)
            if error:
                errors.append(error)
        known = [score for score in scores if score is not None]
        usage = Usage(
            n_calls=len(completions),
            n_prompt_tokens=sum(c.n_prompt_tokens for c in completions),
            n_tokens=sum(c.n_tokens for c in completions),
        )
        replies = [c.text for c in completions if c.error is None]
        error = None if known else "; ".join(dict.fromkeys(errors))
        return self._judgment(response, scores, replies, pstdev(known) if known else None, error, usage)

    def _score_of(self, completion: Completion) -> tuple[float | None, str | None]:
        if completion.error:
            return None, completion.error
        if completion.finish_reason == "length":
            return None, f"truncated: the reply was cut off at {completion.n_tokens} tokens"
        parsed = parse_score(completion.text, self.rubric)
        return parsed.value, parsed.error

    def _judgment(
        self,
        response: Response,
        scores: list[float | None],
        replies: list[str],
        spread: float | None,
        error: str | None,
        usage: Usage,
    ) -> Judgment:
        known = [score for score in scores if score is not None]
        return Judgment(
            id=self.judgment_id(response),
            response_id=response.id,
            prompt_id=response.prompt_id,
            prompt=response.prompt,
            response=response.response,
            model=response.model,
            score=fmean(known) if known else None,
            scores=scores,
            replies=replies,
            error=error,
            spread=spread,
            rubric=self.rubric.name,
            judge=self.fingerprint,
            usage=usage,
        )


def open_judge(engine: Engine, options: JudgeOptions, seed: int) -> Judge:
    """Return the judge that `options` describe; raises InputError where a setting is out of range."""
    if options.samples < 1:
        raise InputError(f"--samples must be at least 1, not {options.samples}")
    if not 0 <= options.min_coverage <= 1:
        raise InputError(f"--min-coverage must be in [0, 1], not {options.min_coverage}")
    sampling = Sampling(options.max_new_tokens, options.temperature, options.top_p)
    return Judge(engine, load_rubric(options.rubric), options.read, options.samples, sampling, seed)


def expected_score(choice: Choice, values: Sequence[float]) -> tuple[float | None, float | None, str | None]:
    """Return the mean and standard deviation of the scores under the choices' probabilities, or the reason for none."""
    if choice.error:
        return None, None, choice.error
    weights = [math.exp(logprob) for logprob in choice.logprobs]
    mass = sum(weights)
    if not mass > 0:
        return None, None, "none of the scores has any probability"
    mean = sum(w * v for w, v in zip(weights, values, strict=True)) / mass
    variance = sum(w * (v - mean) ** 2 for w, v in zip(weights, values, strict=True)) / mass
    return mean, math.sqrt(variance), None


def judge_into(store: Store[Judgment], judge: Judge, responses: Sequence[Response], title: str) -> list[Judgment]:
    """Judge what `store` does not hold yet and return the verdicts on `responses` in order."""
    wanted = [judge.judgment_id(response) for response in responses]
    return complete(store, wanted, judge.judge(responses, store.ids), title)


def had_a_reply(judgment: Judgment) -> bool:
    """Return whether a stored judgment is to be kept on resuming: a failed call is tried again, a bad reply is not."""
    return bool(judgment.replies) or judgment.error == "the response is empty"


def check_coverage(judgments: Sequence[Judgment], min_coverage: float) -> None:
    """Raise JudgeError where fewer than `min_coverage` of the judgments have a score; all of them are kept."""
    n_scored = sum(judgment.score is not None for judgment in judgments)
    if judgments and n_scored < min_coverage * len(judgments):
        reasons = [judgment.error for judgment in judgments if judgment.error]
        common = max(set(reasons), key=reasons.count) if reasons else "unknown"
        raise JudgeError(
            f"only {n_scored} of {len(judgments)} answers got a verdict, under --min-coverage {min_coverage:g}; "
            f"most often: {common}. Try another judge, --read logprobs, or a lower --min-coverage"
        )


def _distribution(choice: Choice, choices: Sequence[str]) -> str:
    """Return the choices and their log-probabilities as JSON: the judge's own words for this reading."""
    import msgspec

    finite = {name: lp if math.isfinite(lp) else None for name, lp in zip(choices, choice.logprobs, strict=True)}
    return msgspec.json.encode(finite).decode()
