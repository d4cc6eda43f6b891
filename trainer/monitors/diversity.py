"""The diversity of a set of answers: distinct-n, self-BLEU and repetition inside an answer.

Words are those of sacrebleu's tokenizer 13a, in lower case. In a language without spaces a whole phrase counts as a
word, so compare such numbers only with one another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from random import Random
from statistics import fmean

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from records.keys import derived_seed
from trainer.monitors.monitors import MAX_PAIRS

MAX_N = 3
REPEATED_N = 4


@dataclass(frozen=True)
class Diversity:
    """The diversity of a set of answers, each measure from 0 to 1. None if no answer is long enough."""

    distinct: tuple[float | None, ...]
    """Distinct n-grams of all answers over all their n-grams, for n = 1, 2, 3 (Li et al. 2016, section 5.3)."""
    self_bleu: float | None
    """Mean sentence BLEU of one answer against another."""
    repetition: float | None
    """Mean over answers of the share of 4-grams that occur earlier in the answer (Welleck et al. 2020, section 6)."""
    n_repetition: int
    """Answers of four words or more."""


def diversity(texts: Sequence[str], seed: int = 0, max_pairs: int = MAX_PAIRS) -> Diversity:
    """Return the diversity of `texts`, leaving empty ones out."""
    tokenize: Callable[[str], str] = Tokenizer13a()  # type: ignore[no-untyped-call]
    answers = [words for text in texts if (words := tokenize(text).lower().split())]
    repetitions = [share for words in answers if (share := repeated_share(words)) is not None]
    return Diversity(
        tuple(distinct(answers, n) for n in range(1, MAX_N + 1)),
        self_bleu(answers, seed, max_pairs),
        fmean(repetitions) if repetitions else None,
        len(repetitions),
    )


def distinct(answers: Sequence[Sequence[str]], n: int) -> float | None:
    """Return the share of distinct n-grams among all n-grams of tokenised answers, or None without any n-gram.

    It falls with longer or more answers, so compare sets for the same prompts and look at the lengths too.
    """
    grams = [gram for words in answers for gram in _grams(words, n)]
    return len(set(grams)) / len(grams) if grams else None


def self_bleu(answers: Sequence[Sequence[str]], seed: int, max_pairs: int = MAX_PAIRS) -> float | None:
    """Return the mean sentence BLEU-4, 0 to 1, over ordered pairs of answers, or None for fewer than two answers.

    Each pair is one hypothesis and a single reference, so the number does not depend on how many answers there are, and
    a sample of the pairs estimates it without bias. Zhu et al. 2018 (Texygen, section 2.3) use all others as
    references, which grows with the set.
    """
    if len(answers) < 2:
        return None
    # Without the effective order, an answer of three words has a BLEU of 0 even with itself.
    bleu = BLEU(tokenize="none", effective_order=True)
    texts = [" ".join(words) for words in answers]
    return fmean(bleu.sentence_score(texts[i], [texts[j]]).score / 100 for i, j in _pairs(len(texts), seed, max_pairs))


def repeated_share(words: Sequence[str]) -> float | None:
    """Return the share of an answer's 4-grams that are repeats, or None for fewer than four words."""
    grams = _grams(words, REPEATED_N)
    return 1 - len(set(grams)) / len(grams) if grams else None


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]


def _pairs(n: int, seed: int, max_pairs: int) -> list[tuple[int, int]]:
    """Return all ordered pairs of different places below `n`, or `max_pairs` of them drawn at random."""
    n_all = n * (n - 1)
    if n_all <= max_pairs:
        return list(permutations(range(n), 2))
    drawn = Random(derived_seed(seed, "self-bleu", n)).sample(range(n_all), max_pairs)
    # A place below n (n - 1) is a row and a column of n - 1; columns from the diagonal on move up by one.
    return [(place // (n - 1), rest + (rest >= place // (n - 1))) for place in drawn for rest in (place % (n - 1),)]
