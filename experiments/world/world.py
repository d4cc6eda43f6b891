"""A small language of instructions whose answers a program grades from 0 to 5.

Answers are symbols, digits or the letters a to j, with spaces between them. The points add up as in the additive rubric
of Self-Rewarding Language Models (arXiv 2401.10020, section 2.1), each only after the one before it:

1. every symbol is of the requested kind (digits or letters), and there is at least one
2. and there are as many as requested
3. and at least half of them are right
4. and all but one at most are right
5. and all are right
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

DIGITS, LETTERS = "0123456789", "abcdefghij"
SETS = {"even": "02468", "odd": "13579", "low": "01234", "high": "56789", "early": "abcde", "late": "fghij"}
LENGTHS = (4, 5, 6)
TOP = 5
LEVELS = range(TOP + 1)
MAX_SYMBOLS = 8
"""The longest answer that people write. Right ones have at most 7."""
Symbols = Sequence[str]


@dataclass(frozen=True)
class Task:
    """The task of an instruction."""

    alphabet: str
    n: int
    """The number of symbols in a right answer."""
    rights: Callable[[Symbols], list[bool]]
    """Tells which symbols of an answer of that length are right."""
    solve: Callable[[Random], list[str]]
    """Gives a right answer. Instructions that leave a choice have several."""


def instructions(seed: object) -> Iterator[str]:
    """Yield instructions without end. Half of them leave a choice, and the same ones may recur."""
    random = Random(f"instructions {seed}")
    others = [kind for kind in MAKERS if kind != "write"]
    while True:
        yield MAKERS["write" if random.random() < WRITE_SHARE else random.choice(others)](random)


def quality(instruction: str, answer: str) -> float:
    """Return the quality of `answer`, 0 to 5 in whole points. Raises ValueError for another world's instruction."""
    task, symbols = task_of(instruction), answer.split()
    if not symbols or any(len(symbol) != 1 or symbol not in task.alphabet for symbol in symbols):
        return 0.0
    if len(symbols) != task.n:
        return 1.0
    n_wrong = task.rights(symbols).count(False)
    if n_wrong == 0:
        return 5.0
    if n_wrong == 1:
        return 4.0
    return 3.0 if 2 * n_wrong <= task.n else 2.0


def corrupt(instruction: str, level: int, random: Random) -> str:
    """Return an answer whose quality is exactly `level`; 5 is a right one."""
    task = task_of(instruction)
    while True:  # most proposals have the level already
        answer = " ".join(_proposal(task, level, random))
        if quality(instruction, answer) == level:
            return answer


def right(instruction: str, random: Random) -> str:
    """Return a right answer."""
    return corrupt(instruction, TOP, random)


def written(instruction: str, random: Random) -> str:
    """Return an answer as people write it in this world: right, or with one of four equally frequent habits.

    The habits are careless (some symbols are wrong), lazy (the symbols of the instruction unchanged, or any), short or
    long (a right answer that stops too early or continues), and strange (symbols of the other kind).
    """
    task = task_of(instruction)
    match random.choice(("right", "careless", "lazy", "length", "strange")):
        case "careless":
            return corrupt(instruction, random.choice((2, 3, 4)), random)
        case "lazy":
            return " ".join(_unworked(instruction, task, random))
        case "length":
            return " ".join(_stretched(task, random))
        case "strange":
            return " ".join(_other_kind(symbol, task) for symbol in task.solve(random))
    return right(instruction, random)


def _unworked(instruction: str, task: Task, random: Random) -> list[str]:
    """Return symbols of the right kind and number, without applying the instruction to them."""
    # `write` has no symbols to copy
    shown = instruction.partition(" : ")[2].split() or random.choices(task.alphabet, k=task.n)
    return [shown[index % len(shown)] for index in range(task.n)]


def _other_kind(symbol: str, task: Task) -> str:
    return LETTERS[DIGITS.index(symbol)] if task.alphabet == DIGITS else DIGITS[LETTERS.index(symbol)]


def _proposal(task: Task, level: int, random: Random) -> list[str]:
    symbols = task.solve(random)
    if level == 0:
        other = LETTERS if task.alphabet == DIGITS else DIGITS
        return [random.choice(other) if random.random() < 0.5 else symbol for symbol in _stretched(task, random)]
    if level == 1:
        return _stretched(task, random)
    # bounds from quality(): 3 is at least half right, 2 is less
    n_wrong = {5: 0, 4: 1, 3: random.randint(2, task.n // 2), 2: random.randint(task.n // 2 + 1, task.n)}[level]
    for position in random.sample(range(task.n), n_wrong):
        symbols[position] = random.choice(task.alphabet)  # may be right by chance, which `corrupt` then draws again
    return symbols


def _stretched(task: Task, random: Random) -> list[str]:
    """Return a right answer that was cut or continued."""
    n = random.choice([n for n in range(1, MAX_SYMBOLS + 1) if n != task.n])
    right = task.solve(random)
    return [*right, *right][:n]  # a right answer has at least 4 symbols, and n is at most 8


@lru_cache(maxsize=1 << 16)  # every answer to an instruction is graded by it
def task_of(instruction: str) -> Task:
    """Return the task of `instruction`. Raises ValueError if it is not of this world."""
    head, _, tail = instruction.partition(" : ")
    words, symbols = head.split(), tail.split()
    match words:
        case ["write", n, kind, "digits" | "letters", "from", first, "to", last]:
            return _within(SETS[kind], int(n), first, last)
    return _exactly(_transformed(words, symbols))


def _transformed(words: list[str], symbols: list[str]) -> list[str]:
    match words:
        case ["copy"]:
            return symbols
        case ["reverse"]:
            return symbols[::-1]
        case ["sort", "up"]:
            return sorted(symbols)
        case ["sort", "down"]:
            return sorted(symbols, reverse=True)
        case ["add", k]:
            return [DIGITS[(int(symbol) + int(k)) % 10] for symbol in symbols]
        case ["next"]:
            return [LETTERS[(LETTERS.index(symbol) + 1) % 10] for symbol in symbols]
        case ["count", *letters, "in"]:
            return [str(symbols.count(letter)) for letter in letters]
    raise ValueError(f"not an instruction of this world: {' '.join(words)}")


def _exactly(target: list[str]) -> Task:
    return Task(
        _alphabet(target),
        len(target),
        lambda symbols: [symbol == wanted for symbol, wanted in zip(symbols, target, strict=True)],
        lambda _: list(target),
    )


def _within(allowed: str, n: int, first: str, last: str) -> Task:
    def rights(symbols: Symbols) -> list[bool]:
        return [symbols[0] == first, *(symbol in allowed for symbol in symbols[1:-1]), symbols[-1] == last]

    return Task(_alphabet(allowed), n, rights, lambda random: [first, *random.choices(allowed, k=n - 2), last])


def _alphabet(symbols: Symbols) -> str:
    return DIGITS if symbols[0] in DIGITS else LETTERS


def _list(random: Random, alphabet: str | None = None, lengths: Sequence[int] = LENGTHS) -> str:
    return " ".join(random.choices(alphabet or random.choice((DIGITS, LETTERS)), k=random.choice(lengths)))


def _write(random: Random) -> str:
    kind = random.choice(list(SETS))
    first, last = random.choices(SETS[kind], k=2)
    symbols = "digits" if SETS[kind][0] in DIGITS else "letters"
    return f"write {random.randint(4, 7)} {kind} {symbols} from {first} to {last}"


MAKERS: dict[str, Callable[[Random], str]] = {
    "copy": lambda random: f"copy : {_list(random)}",
    "reverse": lambda random: f"reverse : {_list(random)}",
    "sort": lambda random: f"sort {random.choice(('up', 'down'))} : {_list(random, DIGITS)}",
    "count": lambda random: f"count {' '.join(random.sample('abcd', 4))} in : {_list(random, 'abcd', (6, 7))}",
    "add": lambda random: f"add {random.randint(1, 3)} : {_list(random, DIGITS)}",
    "next": lambda random: f"next : {_list(random, LETTERS)}",
    "write": _write,
}
WRITE_SHARE = 0.5
"""The share of instructions that leave a choice and whose answers can be checked symbol by symbol."""
WORDS = f"copy reverse sort up down add next count in write digits letters from to : {' '.join(SETS)}"
"""All words of the instructions, with spaces between them."""
