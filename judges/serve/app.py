"""The HTTP application: paths, limits, the key, and errors in OpenAI's form."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from console.errors import EngineError, InputError, JudgeloopError
from console.output import say
from judges.judging.contests import contests_in
from judges.judging.judge import has_every_reply
from judges.judging.pairwise import both_orders_answered
from judges.serve import decisions
from judges.serve.bench import Bench, cost
from judges.serve.groups import standings, tournament
from judges.serve.inputs import turns_of
from judges.serve.options import Limits
from judges.serve.rewards import Body, each_of, output_text, wanted
from records import Comparison, Judgment
from records.fields.messages import chat_in
from records.shapes import responses_of

MB = 1_000_000
SLOWEST_BODY_S = 60.0
"""Seconds that a caller may take to send its request."""
OPEN_PATHS = ("/health",)
"""Paths that need no key."""


class Refused(Exception):  # noqa: N818  it is a reply
    """A request that gets no verdict: its status and what to do."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Server:
    """Answers requests with the verdicts of a bench of judges."""

    bench: Bench
    limits: Limits
    key: str | None
    debug: bool = False
    is_stopping: bool = False
    """True once no new request is taken."""
    n_under_way: int = 0
    """The number of requests, those too that are still being sent."""
    n_whole: int = 0
    """The number of those that were sent whole and are not answered yet."""

    def app(self) -> web.Application:
        """Return the application of aiohttp."""
        app = web.Application(client_max_size=int(self.limits.max_body_mb * MB), middlewares=[self._guarded])
        for path, answer in {
            "/v1/decisions": self.decide,
            "/score": self.score,
            "/compare": self.compare,
            "/group": self.group,
            "/reward": self.reward,
            "/verify": self.reward,
            "/seed_session": self.seed_session,
        }.items():
            app.router.add_post(path, self._posted(answer))
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/health", self.health)
        app.router.add_get("/metrics", self.metrics)
        return app

    async def decide(self, body: Body) -> Body:
        """Answer the questions of OpenAI's Decisions API."""
        sent = _converted(body, decisions.Body)
        if sent.model != self.bench.name:
            what = f"the model {sent.model!r} is not served here: the model is {self.bench.name!r}"
            raise Refused(404, what, "model_not_found")
        asked = decisions.asked(sent, min(decisions.MOST_QUESTIONS, self.limits.max_rows))
        judgments, over, usage = await self.bench.decide(asked)
        for of_one, options in zip(judgments, over, strict=True):
            if options.probabilities is None and not all(map(has_every_reply, of_one)):
                raise EngineError(options.error or "the judge did not answer")
        answers = [decisions.answer(one.question, options) for one, options in zip(asked, over, strict=True)]
        return {"model": self.bench.name, "answers": answers, "usage": decisions.usage_of(usage)}

    async def score(self, body: Body) -> Body:
        """Return the judgment of each answer."""
        answered = await self.bench.score(each_of(body, self.limits.max_rows, responses_of))
        return {"judgments": [one.verdict for one in answered], "usage": cost(answered)}

    async def compare(self, body: Body) -> Body:
        """Return the comparison of each two answers, or the rewards of a group in NeMo-Gym's form."""
        if "response_objs" in body:
            return await self.group(body)
        answered = await self.bench.compare(each_of(body, self.limits.max_rows, contests_in))
        return {"comparisons": [one.verdict for one in answered], "usage": cost(answered)}

    async def group(self, body: Body) -> Body:
        """Return the reward of each of several answers to one prompt."""
        is_nemo = "response_objs" in body
        prompt, answers = _nemo_group(body) if is_nemo else _group(body)
        reference = body.get("reference")
        if not isinstance(reference, str | None):
            raise InputError("'reference' must be text")
        contests = tournament(prompt, answers, reference, self.limits.max_rows)
        answered = await self.bench.compare(list(contests.values()))
        comparisons = dict(zip(contests, (one.verdict for one in answered), strict=True))
        results = standings(answers, comparisons)
        if is_nemo:
            _check_all(
                [result.reward for result in results], [result.error for result in results], comparisons.values()
            )
        rewards = [result.reward for result in results]
        return {"rewards": rewards, "standings": results, "usage": cost(answered)}

    async def reward(self, body: Body) -> Body:
        """Return the reward of each answer in the form in which it was asked for."""
        asked = wanted(body, self.limits.max_rows)
        answered = await self.bench.score(asked.responses)
        judgments = [one.verdict for one in answered]
        if not asked.takes_null:
            _check_all([judgment.score for judgment in judgments], [j.error for j in judgments], judgments)
        return asked.reply(judgments)

    async def seed_session(self, _: Body) -> Body:
        """Answer NeMo-Gym, which opens a session before it asks for rewards. There is nothing to open."""
        return {}

    async def models(self, _: web.Request) -> web.Response:
        """List the one model, with the fingerprints of the judges."""
        model = {"id": self.bench.name, "object": "model", "created": 0, "owned_by": "judgeloop"}
        return _json({"object": "list", "data": [model | {"judges": self.bench.fingerprints}]})

    async def health(self, _: web.Request) -> web.Response:
        """Say whether requests are taken."""
        state = "stopping" if self.is_stopping else "ok"
        return _json({"status": state, "model": self.bench.name}, 503 if self.is_stopping else 200)

    async def metrics(self, _: web.Request) -> web.Response:
        """Return the counters for Prometheus."""
        return web.Response(body=self.bench.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    def _posted(self, answer: Callable[[Body], Awaitable[Body]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return the handler of a path that takes a JSON object, within the limits."""

        async def handler(request: web.Request) -> web.Response:
            if self.is_stopping:
                raise Refused(503, "the server is stopping: ask another one, or later")
            if self.n_under_way >= self.limits.max_requests:
                raise Refused(429, f"{self.n_under_way:,} requests are under way: ask again later")
            self.n_under_way += 1
            try:
                body = await self._body(request)
                self.n_whole += 1
                try:
                    return _json(await answer(body))
                finally:
                    self.n_whole -= 1
            finally:
                self.n_under_way -= 1

        return handler

    async def _body(self, request: web.Request) -> Body:
        too_large = f"a body has at most {self.limits.max_body_mb:g} MB: send fewer rows in one request"
        if (request.content_length or 0) > self.limits.max_body_mb * MB:
            raise Refused(413, too_large)
        # A page in a browser cannot send this type to another site unasked, so none can use the judge in secret.
        if request.content_type != "application/json":
            raise Refused(415, "send JSON, with the header Content-Type: application/json")
        try:
            async with asyncio.timeout(SLOWEST_BODY_S):
                raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refused(413, too_large) from None
        except TimeoutError:
            raise Refused(408, f"the body did not come within {SLOWEST_BODY_S:g} s") from None
        if not raw.strip():
            raise InputError("the body is empty: send a JSON object")
        try:
            return msgspec.json.decode(raw, type=Body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"the body is no JSON object: {error}") from None

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Check the key, turn errors into replies, and count the request."""
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else "other"
        metrics, started = self.bench.metrics, time.perf_counter()
        metrics.under_way.inc()
        try:
            if self.key is not None and path not in OPEN_PATHS:
                _check_key(request, self.key)
            response = await handler(request)
        except Exception as error:
            response = self._failed(error, request)
        finally:
            metrics.under_way.dec()
        metrics.requests.labels(path, str(response.status)).inc()
        metrics.seconds.labels(path).observe(time.perf_counter() - started)
        return response

    def _failed(self, error: Exception, request: web.Request) -> web.Response:
        """Return the reply for an error."""
        if isinstance(error, Refused):
            response = _error(error.status, str(error), error.code)
        elif isinstance(error, InputError):
            response = _error(400, str(error))
        elif isinstance(error, JudgeloopError):
            say(f"{request.path}: {error}")
            response = _error(503, str(error))
        elif isinstance(error, web.HTTPException):
            paths = "POST /v1/decisions, /score, /compare, /group, /reward; GET /v1/models, /health, /metrics"
            response = _error(error.status, f"{error.reason}: {request.method} {request.path}; there are {paths}")
        else:
            if self.debug:
                raise error
            say(f"{request.path}: {type(error).__name__}: {error}; --debug shows where")
            response = _error(500, f"{type(error).__name__}: this is a fault of the server")
        if response.status in (408, 413):
            response.force_close()  # the rest of the body is not read
        if response.status in (429, 503):
            response.headers["Retry-After"] = "1"
        return response


def _check_key(request: web.Request, key: str) -> None:
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(errors="surrogateescape"), key.encode()):
        raise Refused(401, "this server has a key: send it as Authorization: Bearer KEY", "invalid_api_key")


def _converted(body: Body, kind: type[decisions.Body]) -> decisions.Body:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise InputError(str(error)) from None


def _check_all(scores: list[float | None], errors: list[str | None], rows: Any) -> None:
    """Raise if a score is missing: EngineError if a call failed, which may be asked again, or else Refused."""
    if None not in scores:
        return
    place = scores.index(None)
    what = f"{scores.count(None)} of {len(scores)} answers have no verdict, the first {place}: {errors[place]}"
    if not all(_is_complete(row) for row in rows):
        raise EngineError(what)
    raise Refused(422, what, "no_verdict")


def _is_complete(row: Judgment | Comparison) -> bool:
    return has_every_reply(row) if isinstance(row, Judgment) else both_orders_answered(row)


def _group(body: Body) -> tuple[Any, list[str]]:
    prompt, answers = body.get("prompt"), body.get("responses")
    if not isinstance(answers, list) or not all(isinstance(text, str) for text in answers):
        raise InputError("'responses' must be a list of texts, the answers to 'prompt'")
    if not isinstance(prompt, str | list) or not prompt:
        raise InputError("'prompt' must be text or a list of messages")
    return prompt if isinstance(prompt, str) else chat_in(prompt, "prompt"), answers


def _nemo_group(body: Body) -> tuple[Any, list[str]]:
    objects, history = body["response_objs"], body.get("conversation_history")
    if not isinstance(objects, list) or not isinstance(history, list):
        raise InputError("'conversation_history' and 'response_objs' must be lists, as of NeMo-Gym's genrm_compare")
    answers = [
        output_text(item if isinstance(item, dict) else {}, f"response_objs[{n}]") for n, item in enumerate(objects)
    ]
    return turns_of(history, "conversation_history"), answers


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _error(status: int, message: str, code: str | None = None) -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return _json({"error": {"message": message, "type": kind, "param": None, "code": code}}, status)
