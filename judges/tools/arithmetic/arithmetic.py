"""Recomputes the equations of an answer, and compares its result with a reference, through math-verify."""

import logging
import re
from fractions import Fraction
from typing import Any

import sympy
from math_verify import parse, verify

from judges.parsing.numerals import plain_numbers
from judges.tools.arithmetic.equations import MAX_EXPONENT, NUMBER, Equation

SHOWN_DIGITS = 15


def holds(equation: Equation) -> tuple[bool | None, str]:
    """Return whether an equation is right (None if it cannot be computed), and the left side's value in words.

    A right side that is one decimal may be rounded or cut off at its last digit. With ≈ it may also be a whole number.
    If it is a percentage of a value times 100, `25%` also stands for 25. An equation that holds only with a point or
    comma of another language, or without a %, is not decided.
    """
    left, right = _value(equation.left), _value(equation.right)
    if left is None or right is None:
        return None, "it cannot be worked out"
    # a whole unit of the last digit and not a half: 2/3 = 0.66 is cut off, 0.67 is rounded
    tolerance = _tolerance(equation.right, equation.approximate)
    if left == right or abs(left - right) < tolerance:
        return True, f"the left side is {_words(left)}"
    if right_percent := re.fullmatch(rf"({NUMBER})\\%", equation.right):
        number = _value(right_percent[1])
        if number is not None and (left == number or abs(left - number) < 100 * tolerance):
            by_100 = re.search(r"(?<![\d.])100(?![\d.])", equation.left)
            return (True, f"the left side is {_words(left)}") if by_100 else (None, "what the % is of is not said")
    if _holds_elsewhere(equation):
        return None, "a point or a comma may part its digits otherwise"
    return False, f"the left side is {_words(left)}"


def _holds_elsewhere(equation: Equation) -> bool:
    """Return whether an equation holds if 1.000 is a thousand, or 2,500 two and a half."""
    for parts in (r"(?<![\d.])[1-9]\d{0,2}(?:\.\d{3})+(?![\d.])", r"(?<![\d,])\d{1,3},\d{3}(?![\d,])"):
        if re.search(parts, equation.text):
            sides = equation.text.replace("≈", "=").split("=")
            left, right = (_plain_value(re.sub(parts, _otherwise, side)) for side in sides)
            if left is not None and left == right:
                return True
    return False


def _otherwise(number: re.Match[str]) -> str:
    return number[0].replace(",", ".") if "," in number[0] else number[0].replace(".", "")


def _plain_value(side: str) -> Any:
    """Return the value of a side in plain signs."""
    return _value(re.sub(r"\^(\d+)", r"^{\1}", side.replace(",", "")).replace("*", r"\cdot ").replace("%", r"\%"))


def same_answer(reference: str, answer: str) -> bool | None:
    """Return whether the last number or formula of `answer` equals that of `reference`, or None if one has none.

    Both readings of 5 million count, because the question may have asked for millions.
    """
    results = [text.rpartition("####")[2] for text in (reference, answer)]  # GSM8K's mark before the result
    same = [_same(*(plain_numbers(text, scales=scales) for text in results)) for scales in (True, False)]
    return None if None in same else any(same)


def _same(reference: str, answer: str) -> bool | None:
    gold, given = _parsed(reference), _parsed(answer)
    gold = gold or _parsed(f"${reference}$")  # a formula without its dollar signs
    if not gold or not given or any(map(_explosive, (*gold, *given))):
        return None
    _quiet()
    return bool(verify(gold, given, timeout_seconds=None))


def _tolerance(right: str, approximate: bool) -> Any:
    """Return the tolerance around a rounded right side, as an exact fraction."""
    if not re.fullmatch(rf"-?{NUMBER}(?:\\%)?", right):
        return 0
    n_decimals = len(right.removesuffix("\\%").partition(".")[2])
    if n_decimals == 0 and not approximate:
        return 0
    return Fraction(1, 10**n_decimals) * (Fraction(1, 100) if right.endswith("%") else 1)


def _value(latex: str) -> Any:
    """Return a side as an exact fraction, or None if it has no finite value."""
    parsed = _parsed(f"${latex}$")
    if not parsed:
        return None
    expression = sympy.sympify(parsed[0])
    # from the text and not the float, whose exact value is not the decimal's
    exact = {number: sympy.Rational(str(number)) for number in expression.atoms(sympy.Float)}
    value = expression.xreplace(exact).doit()  # as floats, 1.4 - 0.4 is not 1
    return value if value.is_Rational else None


def _parsed(text: str) -> list[Any]:
    _quiet()
    parsed: list[Any] = parse(text, parsing_timeout=None)
    return [item for item in parsed if not isinstance(item, str)]


def _explosive(expression: Any) -> bool:
    """Return whether an expression has a power that could take forever to compute."""
    powers = expression.atoms(sympy.Pow) if hasattr(expression, "atoms") else ()
    return any(p.exp.has(sympy.Pow) or (p.exp.is_number and abs(float(p.exp)) > MAX_EXPONENT) for p in powers)


def _words(value: Any) -> str:
    if value.is_Integer and abs(value) < 10**SHOWN_DIGITS:
        return str(value)
    text = str(value.evalf(10))
    return text if "e" in text else text.rstrip("0").rstrip(".")


def _quiet() -> None:
    """Silence the library's remark that its timeouts are off. They need the main thread, so sizes are bounded."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)
