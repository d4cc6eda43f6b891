r"""Finds the equations that an answer states.

Only numbers and operators count as an equation: `12 * 7 = 84`, `3/4 + 1/4 = 1`, `\frac{1}{2} + 0.5 = 1`,
`20% of 50 = 10`, `48/2 = 24`. A text with a variable, a function or a word is no equation and is skipped.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
FRACTION = rf"\\[dt]?frac\s*\{{\s*{NUMBER}\s*\}}\s*\{{\s*{NUMBER}\s*\}}"
OPERATOR = r"\*\*|[-+*/^×÷·⋅∙∗✕✖⁄∕➗＋－−‐‑–xX]|\\times|\\cdot|\\div"
EQUALS = r"==?|＝|≈|\\approx"
PERCENT = r"\\?%(?:\s+of\b)?"
BLANK = r"[ \t$€£]|\\[()\[\],;! ]|\\left|\\right"
TOKEN = re.compile(
    rf"(?P<number>{NUMBER})|(?P<fraction>{FRACTION})|(?P<percent>{PERCENT})|(?P<equals>{EQUALS})"
    rf"|(?P<operator>{OPERATOR})|(?P<open>\()|(?P<close>\))|(?P<blank>{BLANK})"
)
BULLET = re.compile(r"^\s*(?:[-*•–—◦▪‣●○■□➢⁃·]|\d{1,3}[.)]|#{1,6})\s+")
BOLD = re.compile(r"\*\*(?!\s?[\d(.])|(?<![\d)])(?<![\d)]\s)\*\*")  # Markdown's, not a power
WORD_BEFORE = re.compile(
    r"(?:[\w}\])!]|\b(?:sin|cos|tan|log|ln|sqrt|exp|twice|half|double|times|plus|minus|by|of|over|mod|negative)\s*)$",
    re.IGNORECASE,
)
CUT_BEFORE = re.compile(r"\d[.,:'’‘´`_٫٬\u00a0\u2007\u2009\u202f]$|[√∛∜±∓°'′″%‰#⌊⌈∑∏∫]\s*$")
"""The number that follows ends a longer one, 2,5 or 1'000, or belongs to a sign that is not read."""
SIGN_AFTER = re.compile(r"(?:^|[:;,(\[{\"'“‘«|>.!?=≈])\s*$")
"""The text before a minus that is a sign. Elsewhere a minus subtracts."""
MIXED_BEFORE = re.compile(r"\d and\s*$")  # "1 and 1/4 = 1.25" is about a mixed number
NUMBERED = re.compile(
    r"\b(?:day|week|month|year|hour|minute|night|morning|step|stage|phase|part|question|problem|exercise|task|quiz|test"
    r"|case|example|item|number|no\.?|nr\.?|page|chapter|section|level|round|game|match|table|figure|fig\.?|line|row"
    r"|column|option|method|solution|equation|eq\.?|unit|lesson|class|grade|group|team|person|player|student|friend"
    r"|child|box|bag|bin|room|shelf|floor|house|trip|train|bus|car|truck|route|lap|set|rule|point|note|batch|store|shop"
    r"|customer|order|machine)\s*$",
    re.IGNORECASE,
)
"""A word whose number is a name: Day 1 - 5 * 2 = 10 eggs."""
DENIED_BEFORE = re.compile(
    r"\b(?:not|never|isn['’]t|aren['’]t|doesn['’]t|instead of|rather than|if|suppose|supposing|assume|assuming|unless"
    r"|whether|wrong(?:ly)?|incorrect(?:ly)?|mistaken(?:ly)?|false(?:ly)?|error|claim(?:s|ed|ing)?|wrote|writes|says"
    r"|said|thinks|thought)(?: (?:true|right|correct|the case|possible))?(?: that| to (?:write|say|claim))?:?"
    r"[\s\"'“‘(]*$|≠\s*$",
    re.IGNORECASE,
)
DENIED_AFTER = re.compile(
    r"[\"'”’)\s]*(?:\?|(?:,?\s*(?:which|but (?:that|this)|that|this|it)\s+)?"
    r"(?:is|was|are|would be|isn['’]t|wasn['’]t)\s+(?:\w+\s+)?"
    r"(?:wrong|false|incorrect|untrue|not\b|mistaken|a mistake|an error|correct|right|true)"
    r"|[(\[]?\s*(?:wrong|false|incorrect|mistake|error)\b|[❌✗✘])",
    re.IGNORECASE,
)
"""An equation that is asked or talked about is not stated."""
WORD_AFTER = re.compile(
    r"\s*(?:times|plus|minus|divided|multiplied|squared|cubed|percent|hundreds?|thousands?|millions?|billions?"
    r"|trillions?|lakhs?|crores?|dozens?|scores?\b(?! points)|gross|pairs of|of|mod|modulo|choose|per\s*cent|tenths?"
    r"|hundredths?|halves|thirds?|quarters?|fifths?)\b"
    r"|\s*[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⁰¹²³⁴-⁹‰‱°′″⁄∕√!^]"
    r"|[\w(_{:]|[.,'’´٫٬_\u00a0\u2007\u2009\u202f]\d|\\(?!text|mathrm|quad|[()\[\],;! ])",
    re.IGNORECASE,
)
_AND = r"[\s,;(]*(?:(?:with|and|plus)\s+)?"
MORE_AFTER = re.compile(
    rf"{_AND}(?:(?:an?|the|one)\s+)?(?:half|third|quarter|halves)\b|\s+and\s+\d+\s*/\s*\d|\s*\.{{2,}}|\s*…",
    re.IGNORECASE,
)
"""A result that goes on: 3 and a half, 0.333..."""
REMAINDER_AFTER = re.compile(
    rf"{_AND}(?:(?:an?|the)\s+)?(?:remainders?|remaining|rem|rest|residue|left\s?over)\b"
    rf"|{_AND}\d+\s+(?:\w+\s+){{0,2}}(?:left|remain\w*|over|rest|spare|extra)\b"
    r"|[\s,;(]*(?:r|rem|mod)[.:]?\s*=?\s*\d|\s*\+\s*r(?:em)?\b",
    re.IGNORECASE,
)
"""The remainder of a division: 2 remainder 2. After a subtraction, 6 remaining is the result."""
JOINING = re.compile(
    r"\s+(?:and|so|then|or|which|because|since|as|but|thus|hence|therefore|is|are|in total|altogether)\b"
)
UNIT_AFTER = re.compile(r"\s+[^\W\d]")
LOOKED_AT = 80
"""Characters before and after an equation."""
SIGNS = dict.fromkeys([*"×·⋅∙∗✕✖xX", "\\times", "\\cdot"], "*") | dict.fromkeys([*"÷⁄∕➗", "\\div"], "/")
SIGNS |= dict.fromkeys("－−‐‑–", "-") | {"＋": "+"}
EQUATIONS_VERSION = 2
"""Raised when the same text would give other equations or verdicts."""
MAX_TOKENS = 60
MAX_DIGITS = 15
MAX_EXPONENT = 64
MAX_POWERS = 2


@dataclass(frozen=True)
class Equation:
    """Two sides that an answer states to be equal."""

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
    """Return the equations that `text` states, each once. A chain `a = b = c` gives two."""
    # two blanks for **, so that the numbers beside it do not grow together
    stated = (equation for line in text.splitlines() for equation in _in_line(BOLD.sub("  ", BULLET.sub("", line))))
    return list({equation.text: equation for equation in stated}.values())


def _in_line(line: str) -> Iterator[Equation]:
    for start, end, tokens in _runs(line):
        if not any(token.kind == "equals" for token in tokens) or len(tokens) > MAX_TOKENS:
            continue
        if _belongs_before(line[max(0, start - LOOKED_AT) : start], tokens) or _goes_on(line, end, tokens):
            continue
        # "4 * 5 = 20 x 3 trays": the unit of the last number changes the meaning of the last side
        unit = UNIT_AFTER.match(line, end) and not JOINING.match(line, end)
        yield from _pairs(tokens, last_has_unit=bool(unit))


def _belongs_before(before: str, tokens: list[Token]) -> bool:
    """Return whether the stretch ends something longer: a word, a number, a calculation that is not read."""
    first, plain = tokens[0], before.rstrip()
    if WORD_BEFORE.search(before) or CUT_BEFORE.search(before) or DENIED_BEFORE.search(before):
        return True
    if first.kind in ("operator", "open") and WORD_BEFORE.search(plain):
        return True
    if first.kind == "operator" and not SIGN_AFTER.search(before):
        return True
    if _is_sign(plain[-1:]) or (MIXED_BEFORE.search(before) and _begins_with_fraction(tokens)):
        return True
    return len(tokens) > 1 and _operator(tokens[1]) == "-" and bool(NUMBERED.search(before))


def _goes_on(line: str, end: int, tokens: list[Token]) -> bool:
    """Return whether the text after a stretch changes its last number, or denies the equation."""
    rest = line[end : end + LOOKED_AT]
    if WORD_AFTER.match(rest) or MORE_AFTER.match(rest) or DENIED_AFTER.match(rest):
        return True
    if REMAINDER_AFTER.match(rest) and any(_operator(token) == "/" for token in tokens):
        return True
    return _is_sign(rest.lstrip()[:1])


def _is_sign(character: str) -> bool:
    """Return whether a character is a mathematical sign that is not read here, unlike arrows and "therefore"."""
    if character.isascii() or character in "∴∵≈≠≤≥":
        return False
    return unicodedata.category(character) == "Sm" and not "←" <= character <= "⇿"


def _runs(line: str) -> Iterator[tuple[int, int, list[Token]]]:
    """Yield the stretches of a line that are made of numbers and operators: start, end, tokens without blanks."""
    start = end = position = 0
    tokens: list[Token] = []
    while position <= len(line):  # once past the end, where nothing matches and the last stretch is yielded
        match = TOKEN.match(line, position)
        # an x that begins a stretch is a letter, as in "box 3", no times sign
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


def _pairs(tokens: list[Token], *, last_has_unit: bool) -> Iterator[Equation]:
    sides: list[list[Token]] = [[]]
    signs: list[str] = []
    for token in tokens:
        if token.kind == "equals":
            sides.append([])
            signs.append(token.text)
        else:
            sides[-1].append(token)
    if last_has_unit and any(token.kind == "operator" for token in sides[-1][1:]):
        sides.pop()
    # a chain's neighbours; `signs` has one too many if the last side was dropped
    for left, right, sign in zip(sides, sides[1:], signs, strict=False):
        if _is_mixed(right):
            continue
        if _is_side(left) and _is_side(right) and (_calculates(left) or _calculates(right)):
            approximate = sign not in ("=", "==", "＝")
            yield Equation(
                f"{_plain(left)} {'≈' if approximate else '='} {_plain(right)}",
                _latex(left),
                _latex(right),
                approximate,
            )


def _begins_with_fraction(tokens: list[Token]) -> bool:
    """Return whether a stretch begins with a fraction: a number over a number."""
    return len(tokens) > 2 and _operator(tokens[1]) == "/" and tokens[2].kind == "number"


def _is_mixed(side: list[Token]) -> bool:
    """Return whether a result may be a mixed number, 3-1/2, which is no subtraction."""
    kinds = [_operator(token) or token.kind for token in side]
    return kinds == ["number", "-", "number", "/", "number"]


def _calculates(side: list[Token]) -> bool:
    # the first token may be a sign: -3 = -3 computes nothing; a single fraction does
    return any(token.kind in ("operator", "fraction") or "of" in token.text for token in side[1:] or side)


def _is_side(side: list[Token]) -> bool:
    """Return whether tokens are one safe expression: alternating values and operators, with small powers."""
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
    """Return whether a power is small enough to compute, because an answer may try to stall the judge."""
    if not after or after[0].kind != "number" or not after[0].text.isdigit() or int(after[0].text) > MAX_EXPONENT:
        return False
    return len(after) == 1 or _operator(after[1]) != "^"


def _operator(token: Token) -> str:
    if token.kind != "operator":
        return ""
    return "^" if token.text == "**" else SIGNS.get(token.text, token.text)


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
