"""Works the equations of an answer out again, and compares its result with a right one, through math-verify."""

import re
from typing import Any

from judges.retrieval.equations import MAX_EXPONENT, NUMBER, Equation

SHOWN_DIGITS = 15


def holds(equation: Equation) -> tuple[bool | None, str]:
    """Return whether an equation is right (None where it cannot be worked out), and the left side's value in words.

    A right side that is one decimal may be rounded or cut off at its last digit; one with ≈ may also be a whole
    number. Where it is a percentage, `25%` stands for 0.25 and for 25.
    """
    left, right = _value(equation.left), _value(equation.right)
    if left is None or right is None:
        return None, "it cannot be worked out"
    candidates = [right]
    if right_percent := re.fullmatch(rf"({NUMBER})\\%", equation.right):
        candidates.append(_value(right_percent[1]) or right)
    tolerance = _tolerance(equation.right, equation.approximate)
    same = any(left == candidate or abs(left - candidate) < tolerance for candidate in candidates)
    return same, f"the left side is {_words(left)}"


def same_answer(reference: str, answer: str) -> bool | None:
    """Return whether the last number or formula of `answer` equals that of `reference`; None where one has none.

    Of 5 million both readings will do: the question may have asked for millions.
    """
    from judges.clustering.equivalences.final_numbers import plain_numbers

    results = [text.rpartition("####")[2] for text in (reference, answer)]
    found = [_same(*(plain_numbers(text, scales=scales) for text in results)) for scales in (True, False)]
    return None if None in found else any(found)


def _same(reference: str, answer: str) -> bool | None:
    gold, given = _parsed(reference), _parsed(answer)
    gold = gold or _parsed(f"${reference}$")  # a formula without its dollar signs
    if not gold or not given or any(map(_explosive, (*gold, *given))):
        return None
    from math_verify import verify

    _quiet()
    return bool(verify(gold, given, timeout_seconds=None))


def _tolerance(right: str, approximate: bool) -> Any:
    """Return how far the left side may lie from a rounded right side, as an exact fraction."""
    from fractions import Fraction

    if not re.fullmatch(rf"-?{NUMBER}(?:\\%)?", right):
        return 0
    n_decimals = len(right.removesuffix("\\%").partition(".")[2])
    if n_decimals == 0 and not approximate:
        return 0
    return Fraction(1, 10**n_decimals) * (Fraction(1, 100) if right.endswith("%") else 1)


def _value(latex: str) -> Any:
    """Return a side as an exact fraction, or None where it has no finite value."""
    import sympy

    found = _parsed(f"${latex}$")
    if not found:
        return None
    expression = sympy.sympify(found[0])
    exact = {number: sympy.Rational(str(number)) for number in expression.atoms(sympy.Float)}
    value = expression.xreplace(exact).doit()  # as floats, 1.4 - 0.4 is not 1
    return value if value.is_Rational else None


def _parsed(text: str) -> list[Any]:
    from math_verify import parse

    _quiet()
    found: list[Any] = parse(text, parsing_timeout=None)
    return [item for item in found if not isinstance(item, str)]


def _explosive(expression: Any) -> bool:
    """Return whether an expression has a power that could take for ever to work out."""
    import sympy

    powers = expression.atoms(sympy.Pow) if hasattr(expression, "atoms") else ()
    return any(p.exp.has(sympy.Pow) or (p.exp.is_number and abs(float(p.exp)) > MAX_EXPONENT) for p in powers)


def _words(value: Any) -> str:
    if value.is_Integer and abs(value) < 10**SHOWN_DIGITS:
        return str(value)
    text = str(value.evalf(10))
    return text if "e" in text else text.rstrip("0").rstrip(".")


def _quiet() -> None:
    """Silence the library's remark that its timeouts are off: they need the main thread; sizes are bounded instead."""
    import logging

    logging.getLogger("math_verify").setLevel(logging.ERROR)
