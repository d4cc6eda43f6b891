"""The choice of a tool for an answer, and the arithmetic tool."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from engines.protocol import Engine, advised
from judges.judging.question import Question, load_question
from judges.parsing.verdict import usage_of
from judges.tools.arithmetic.arithmetic import holds, same_answer
from judges.tools.arithmetic.equations import equations
from judges.tools.rows import CheckedClaim, Quote, Tool, Verdict
from records.rows import Response, Usage, text_of

HERE = Path(__file__).parent
NOBODY: set[int] = set()


@dataclass(frozen=True)
class Decision:
    """The tool for one answer."""

    tool: Tool | None
    probabilities: dict[str, float] | None = None
    usage: Usage = field(default_factory=Usage)
    error: str | None = None


def choose_tools(
    engine: Engine, responses: Sequence[Response], skip: set[int], with_constraints: set[int] = NOBODY
) -> Iterator[tuple[int, Decision]]:
    """Yield the tool that the model finds most fitting for each response whose position is not in `skip`.

    The constraints are one of the tools for the responses `with_constraints`.
    """
    others = set(range(len(responses))) - with_constraints
    # two passes, because the answers with constraints have one more tool to choose from, thus another question
    for constrained, left_out in ((False, with_constraints), (True, others)):
        if skip | left_out != set(range(len(responses))):
            yield from _choose(engine, responses, skip | left_out, tool_question(constrained=constrained))


def tool_question(*, constrained: bool = False) -> Question:
    """Return the question which tool fits an answer, with the constraints among the tools or without."""
    return load_question("tool_with_constraints" if constrained else "tool", HERE)


def _choose(
    engine: Engine, responses: Sequence[Response], skip: set[int], question: Question
) -> Iterator[tuple[int, Decision]]:
    requests = [question.request(prompt=text_of(r.prompt), response=r.response) for r in responses]
    choices = engine.choose(requests, list(question.choices), skip)
    for choice in advised(choices, "the choice of a tool needs them: give --tool search, arithmetic or constraints"):
        # The order of the tools is enough, however low the probability of all of them: it is no verdict.
        probabilities, _, error = question.read(choice, min_mass=0.0)
        tool = _most_fitting(responses[choice.index], probabilities) if probabilities else None
        yield choice.index, Decision(tool, probabilities, usage_of(choice), error)


def check_arithmetic(response: Response, max_claims: int) -> tuple[list[CheckedClaim], str | None]:
    """Return the answer's equations with their verdicts, its result held against the reference last, and a reason.

    The reason explains missing or skipped equations.
    """
    stated = equations(response.response)
    claims = [_equation_claim(text, *holds_) for text, holds_ in ((e.text, holds(e)) for e in stated[:max_claims])]
    reason = f"only the first {max_claims} of {len(stated)} equations are checked" if len(stated) > max_claims else None
    if response.reference is not None:
        claims.append(_result_claim(response.response, response.reference))
    if not claims:
        reason = "the answer states no equation, and there is no reference to hold its result against"
    return claims, reason


def _most_fitting(response: Response, probabilities: dict[str, float]) -> Tool:
    """Return the likeliest tool. Arithmetic needs something to compute."""
    usable = dict(probabilities)
    if response.reference is None and not equations(response.response):
        usable.pop("arithmetic")
    return cast(Tool, max(usable, key=usable.__getitem__))


def _equation_claim(text: str, right: bool | None, worked_out: str) -> CheckedClaim:
    if right is None:
        return CheckedClaim(claim=text, verdict="not enough", reason=worked_out)
    quote = Quote(passage_id="arithmetic", text=f"{text}: {worked_out}")
    return CheckedClaim(claim=text, verdict=_verdict(right), quote=quote)


def _result_claim(response: str, reference: str) -> CheckedClaim:
    claim = "the result is the reference's"
    same = same_answer(reference, response)
    if same is None:
        return CheckedClaim(claim=claim, verdict="not enough", reason="the answer or the reference has no number")
    quote = Quote(passage_id="reference", title="reference answer", text=reference)
    return CheckedClaim(claim=claim, verdict=_verdict(same), quote=quote)


def _verdict(right: bool) -> Verdict:
    return "supported" if right else "refuted"
