r"""Finds the equations that an answer states.

Only numbers and operators count as an equation: `12 * 7 = 84`, `3/4 + 1/4 = 1`, `\frac{1}{2} + 0.5 = 1`,
`20% of 50 = 10`, `48/2 = 24`. What has a variable, a function or a word in it is not one, and is left alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from judges.retrieval.sentences import BULLET

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
FRACTION = rf"\\[dt]?frac\s*\{{\s*{NUMBER}\s*\}}\s*\{{\s*{NUMBER}\s*\}}"
OPERATOR = r"\*\*|[-+*/^×÷·−–xX]|\\times|\\cdot|\\div"
EQUALS = r"==?|≈|\\approx"
PERCENT = r"\\?%(?:\s+of\b)?"
BLANK = r"[ \t$€£]|\\[()\[\],;! ]|\\left|\\right"
TOKEN = re.compile(
    rf"(?P<number>{NUMBER})|(?P<fraction>{FRACTION})|(?P<percent>{PERCENT})|(?P<equals>{EQUALS})"
    rf"|(?P<operator>{OPERATOR})|(?P<open>\()|(?P<close>\))|(?P<blank>{BLANK})"
)
BOLD = re.compile(r"\*\*(?!\s?[\d(.])|(?<![\d)])(?<![\d)]\s)\*\*")  # Markdown's, not a power
WORD_BEFORE = re.compile(
    r"(?:[\w}\])!]|\b(?:sin|cos|tan|log|ln|sqrt|exp|twice|half|double|times|plus|minus|by|of|over|mod)\s*)$",
    re.IGNORECASE,
)
MIXED_BEFORE = re.compile(r"\d and\s*$")  # "1 and 1/4 = 1.25" is about a mixed number
WORD_AFTER = re.compile(
    r"\s*(?:times|plus|minus|divided|multiplied|squared|cubed|percent|hundred|thousand|million|billion|dozen|of|mod)\b"
    r"|[A-Za-z_({!:^]|[.,]\d|\\(?!text|mathrm|quad|[()\[\],;! ])",
    re.IGNORECASE,
)
EQUATIONS_VERSION = 1
"""Raised when the same text would give other equations or verdicts."""
MAX_TOKENS = 60
MAX_DIGITS = 15
MAX_EXPONENT = 64
MAX_POWERS = 2


@dataclass(frozen=True)
class Equation:
    """Two sides that an answer says are equal."""

    text: str
    left: str
    """As LaTeX."""
    right: str
    approximate: bool
    """Whether it was stated with ≈."""


@dataclass(frozen=True)
class Token:
    """A piece of an equation."""

    kind: str
    text: str


def equations(text: str) -> list[Equation]:
    """Return the equations that `text` states, each once; a chain `a = b = c` gives two."""
    found = (equation for line in text.splitlines() for equation in _in_line(BOLD.sub("  ", BULLET.sub("", line))))
    return list({equation.text: equation for equation in found}.values())


def _in_line(line: str) -> Iterator[Equation]:
    for start, end, tokens in _runs(line):
        if not any(token.kind == "equals" for token in tokens) or len(tokens) > MAX_TOKENS:
            continue
        first = tokens[0]
        if WORD_BEFORE.search(line[:start]) or (
            first.kind in ("operator", "open") and WORD_BEFORE.search(line[:start].rstrip())
        ):
            continue
        if WORD_AFTER.match(line, end) or (MIXED_BEFORE.search(line[:start]) and _is_fraction(tokens)):
            continue
        yield from _pairs(tokens)


def _runs(line: str) -> Iterator[tuple[int, int, list[Token]]]:
    """Yield the stretches of a line that are made of numbers and operators: start, end, tokens without blanks."""
    start = end = position = 0
    tokens: list[Token] = []
    while position <= len(line):
        match = TOKEN.match(line, position)
        if match and not (match.lastgroup == "operator" and match[0] in "xX" and not tokens):
            kind = str(match.lastgroup)
            if kind != "blank":
                if not tokens:
                    start = position
                tokens.append(Token(kind, match[0]))
                end = match.end()
            position = match.end()
            continue
        if tokens:
            yield start, end, tokens
        tokens = []
        position += 1


def _pairs(tokens: list[Token]) -> Iterator[Equation]:
    sides: list[list[Token]] = [[]]
    signs: list[str] = []
    for token in tokens:
        if token.kind == "equals":
            sides.append([])
            signs.append(token.text)
        else:
            sides[-1].append(token)
    for left, right, sign in zip(sides, sides[1:], signs, strict=False):
        if _is_side(left) and _is_side(right) and (_calculates(left) or _calculates(right)):
            approximate = sign not in ("=", "==")
            yield Equation(
                f"{_plain(left)} {'≈' if approximate else '='} {_plain(right)}",
                _latex(left),
                _latex(right),
                approximate,
            )


def _is_fraction(tokens: list[Token]) -> bool:
    """Return whether an equation begins with a bare fraction: a number over a number and nothing else."""
    return len(tokens) > 3 and _operator(tokens[1]) == "/" and tokens[3].kind == "equals"


def _calculates(side: list[Token]) -> bool:
    return any(token.kind in ("operator", "fraction") or "of" in token.text for token in side[1:] or side)


def _is_side(side: list[Token]) -> bool:
    """Return whether tokens are one expression that is safe to work out: values and operators in turn, small powers."""
    depth, wants_value, n_powers = 0, True, 0
    for position, token in enumerate(side):
        operator = _operator(token)
        if wants_value and token.kind == "open":
            depth += 1
        elif wants_value and token.kind in ("number", "fraction"):
            if len(re.sub(r"\D", "", token.text)) > MAX_DIGITS:
                return False
            wants_value = False
        elif wants_value and operator == "-" and (position == 0 or side[position - 1].kind == "open"):
            pass  # a sign
        elif not wants_value and token.kind == "close":
            depth -= 1
            if depth < 0:
                return False
        elif not wants_value and token.kind == "percent":
            wants_value = "of" in token.text
        elif not wants_value and operator:
            wants_value = True
            if operator == "^":
                n_powers += 1
                if not _small_exponent(side[position + 1 :]) or n_powers > MAX_POWERS:
                    return False
        else:
            return False
    return bool(side) and not wants_value and depth == 0


def _small_exponent(after: list[Token]) -> bool:
    """Return whether a power is small enough to be worked out: what stands in an answer may want to stop the judge."""
    if not after or after[0].kind != "number" or not after[0].text.isdigit() or int(after[0].text) > MAX_EXPONENT:
        return False
    return len(after) == 1 or _operator(after[1]) != "^"


def _operator(token: Token) -> str:
    if token.kind != "operator":
        return ""
    names = {"**": "^", "×": "*", "·": "*", "x": "*", "X": "*", "\\times": "*", "\\cdot": "*", "÷": "/", "\\div": "/"}
    return names.get(token.text, "-" if token.text in "−–" else token.text)


def _plain(side: list[Token]) -> str:
    words = [_operator(token) or token.text for token in side]
    text = " ".join(words)
    return re.sub(r" (?=\)|\\?%)|(?<=\() | ?\^ ?", lambda match: "^" if "^" in match[0] else "", text)


def _latex(side: list[Token]) -> str:
    parts = []
    for position, token in enumerate(side):
        operator = _operator(token)
        if token.kind == "number":
            power = position > 0 and _operator(side[position - 1]) == "^"
            number = token.text.replace(",", "")
            parts.append(f"{{{number}}}" if power else number)
        elif token.kind == "percent":
            parts.append(r"\% \cdot " if "of" in token.text else r"\%")
        else:
            parts.append({"*": r" \cdot ", "/": r" / "}.get(operator, operator) or token.text)
    return "".join(parts)
