"""Patterns that find a verdict in a reply. Each takes time linear in the reply's length.

Repetitions are possessive (`*+`, `++`, `?+`) if the next part could match the same characters, so that a failing
pattern gives up at once instead of trying every split.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
SPOKEN = dict(zip(_WORDS, map(float, range(11)), strict=True))
NUMERALS = dict(zip("零一二三四五六七八九十", map(float, range(11)), strict=True)) | {"〇": 0.0}
HAN = "".join(NUMERALS)

DIGITS = r"[-+]?\d++(?:[.,٫]\d++)?+"
S = " {0,4}+"  # spaces between two parts, if any
FIGURE = rf"(?:{DIGITS}|[{HAN}])"
SPELLED = rf"(?:{'|'.join(SPOKEN)})\b"
NUMBER = rf"(?:{FIGURE}|{SPELLED})"
SUM = rf"(?P<sum>(?:{DIGITS}{S}\+{S})++{DIGITS}{S}={S})?+"
HALF = rf"(?P<half>{S}½|{S}1/2|{S}and (?:a|one) half|分?半)?+"
UNIT = r"(?:points?|pts?|stars?|marks?|credits?|punkte?n?|puntos?|pontos?|punti|очк\w*|балл\w*)\b"
POINTS = rf"(?:{S}{UNIT}|{S}[分点점])?+"
# What must not follow a number, because it would then be another one, or a word that begins with digits.
WHOLE = (
    rf"(?![a-z\d+‰°²³¹⁰⁴-⁹¼-¾⅐-⅞⁄\u0300-\u036f\u20d0-\u20ff{HAN}]|[.,]\d|(?-i:\.[a-z])"
    rf"|{S}(?:[%?]|per ?cent|(?:is|was|would|could|might)\b))"
)
CLOSED = r"""[\])}>"'”’」»】 ]*+"""
OUT_OF = r"(?:/|(?:out of|of|over|in|from|on a scale (?:of|from)|von|sur|de|sobre|su|из)\b|满分)"
AS_MOST = r"(?:(?:a possible|a maximum of|the) )?(?:\d+ ?(?:-|–|to) ?)?"
SCALE = (
    rf"(?:{CLOSED}[(,]?{S}(?:{OUT_OF}{S}{AS_MOST}(?P<scale>{NUMBER})"
    r"|(?:on|of) an? (?P<points>\d+)[- ](?:point|star)))?+"
)
MORE_NUMBERS = (
    rf"(?P<more>{CLOSED}(?:[-–—/]{NUMBER}|(?:to|or|through|vs)\b[ \[(\"'“‘]*+{NUMBER}"
    rf"|(?:[-–—~+=×/&,;|<>]|[-=]>|→|\.\.+|…|±|and\b)[ \[(\"'“‘]*+{FIGURE}))?+"
)
ONE_NUMBER = rf"{SUM}(?P<verdict>{NUMBER}){HALF}{POINTS}{WHOLE}{SCALE}{MORE_NUMBERS}"

NUMBER_GOES_ON = re.compile(
    rf"""[\])]*+[\[({{]+\d | {CLOSED} (?:
    \d | [+±~≈^°%‰‱…≤≥] | ·\d | [^\x00-\x7f\w\s“”‘’«»「」【】《》、。•·—–]\ ?\d
    | \(?\? | \.\. | <(?!/) | [-=]> | → | /[ ]{{0,4}}+\d | [:'’′″\\×÷>]\ ?\d
    | [-–—]?\ ?(?:ish|plus|minus)\b | and\ (?:change|a\ bit|some|up)\b
    | (?:thousand|hundred|million|dozen|times|squared|per\ ?cent)\b | \(?normali[sz]ed\b
    | (?:years?|months?|weeks?|days?|hours?|minutes?|seconds?|dollars?|euros?|pounds?|miles?|met(?:er|re)s?|[kcm]?m|k?g
      |people|persons?|words|sentences|paragraphs|pages|errors|mistakes|examples|items|times)\b
    | (?!(?:because|since|as|with|due|for|has|lacks|misses|only|given)\b)[^\W\d]{{1,8}}\ {DIGITS}(?!\w|\ ?[%]) )""",
    re.IGNORECASE | re.VERBOSE,
)
"""Text after a number that makes it another number, or none."""
_NO = r"(?:no|not|none|nope|nah|never|false|untrue|incorrect|wrong|negative|denied|rejected|failed?|0(?:\.0+)?%?)"
WORD_GOES_ON = re.compile(
    r"""[-–—+\])}"']++\w|[-+](?!\w| )|(?: |[\])}"'])*+(?:[-=]>|→|\(?\?|…|\.\.|[≈~≃≅≡❌✗✘☒✖👎🚫⛔]"""
    rf"|[\[({{:=|/,;–—-]++[ \"'“‘]*+(?:{_NO}\b(?= *+(?:$|[^\w\s]))|[❌✗✘☒✖👎🚫⛔]))",
    re.IGNORECASE | re.MULTILINE,
)
"""What makes a word another one, or none, if it follows: safe: no."""

NOTE = (
    r"(?P<note>\([^()\n]{0,40}\)|\[\d+ ?[-–] ?\d+\]|/ ?\d+(?= ?[:=])"
    r"|(?:out of|on a scale (?:of|from)) [\d –-]{1,9}+(?:to \d+)?)"
)
AFTER_LABEL = (
    r"""(?: (?:of|for) (?:this|the) (?:answer|response|reply|submission)\b| given\b| awarded\b)?+"""
    r"""(?P<attributes>(?: [\w:-]{1,20}=["'][^"'\n]{0,20}["'])*+)["'”’)\]} ]*+"""
    rf"""(?:{NOTE}["'”’ ]*+)?+"""
)
IS = r"(?:is|es|ist|est)\b(?: (?:therefore|thus|hence|then)\b)?:?+"
SEPARATOR = rf"(?P<separator>[:=|>→]++(?:-(?=\s))?+|-++>?(?=\s)|[–—]++|{IS}|[是为為は]:?+|)"
OPENED = (
    r"""(?P<gap>(?:</\w{1,9}>|[\s"'“‘«「【<(\[{}]|(?<=\n)[=-]{2,40}(?=\n)"""
    r"""|(?:boxed|text\w{0,3}|math\w{0,3})(?= ?\{))*+)"""
)
THING = r"(?:(?:answer|response|assistant|option|judge?ment)\b[ :]*+)?"
SUBJECT = r"(?:it(?:'s| is) |(?:this|the) (?:answer|response|reply) is )?"

OWN = r"my|own|the|final|overall|total|corrected|revised|updated|adjusted|new|actual"
OWN_ABROAD = "最终|总|总体|综合|我的|最後の?|la |le |el |die |der "
OPENS_LINE = re.compile(
    rf"[^\w\n]*+(?:\d{{1,2}}[.)][^\w\n]*+)?(?:(?:correction|revision|update|edit):[^\w\n]+)?(?:(?:{OWN})[^\w\n]+){{0,3}}(?:{OWN_ABROAD})?",
    re.IGNORECASE,
)
"""Text that may stand before a label that opens a line."""
BEFORE_LABEL = re.compile(rf"(?:[^\w\s-]|(?<!\w)-|\b(?:{OWN}|this|it|so)) *$", re.IGNORECASE)
"""Text that may stand before a label within a line. After another word it is something else: a BLEU score."""
REST_IS_EMPTY = re.compile(r"[^\w\n]*+$", re.MULTILINE)
_SO = r"""(?:(?: overall | so | therefore | thus | hence | finally | accordingly | all\ in\ all | as\ a\ result
    | to\ sum\ up | in\ (?:conclusion|total|sum|summary|short) | for\ (?:this|these|that)\ reasons?
    | (?:based\ on|given)\ (?:all\ )?(?:this|that|these)[^,\n]{0,30} )[,:]?\ )"""
_ANSWER = r"(?:answer|response|reply|submission)"
_IT = rf"(?:it|(?:this|the)\ {_ANSWER}|this)"
_VERDICT = r"(?:verdict|rating|score|grade|judge?ment|choice|decision|preference|winner|conclusion|final\ answer)\b"
_IS_BETTER = rf"""(?:(?:assistant|answer|response)\ [ab] (?:['’]s\ {_ANSWER})? \ is
  \ (?:(?:significantly|slightly|much|clearly)\ )?better (?:\ overall)? [^\w\n]*)"""
LEADS_IN = re.compile(rf"\W*{_SO}?", re.IGNORECASE | re.VERBOSE)
"""Text that may stand before a verdict in a sentence: I would give this answer 4 points."""
LEADS_TO = re.compile(
    rf"""\W*(?:{_SO}\W*)? (?:
    (?:(?:this|{OWN})\ )* {_VERDICT} (?:\ (?:for|of)\ (?:this|the)\ {_ANSWER})?
      (?:\ (?:is|would\ be)(?:\ \w+(?=:))?)? [^\w\n]*
      (?:that\ )? (?:{_IS_BETTER})?
    | (?:I|we)(?:\ would|['’]d)?\ (?:give|rate|grade|score|award|assign|choose|pick|prefer|say|go\ with)
      (?:\ {_IT})? (?:\ as|\ an?)? [^\w\n]* )?
    | \W*{_IS_BETTER} | (?:.*\b(?:is|be)\b)?\W*(?:a\ )?(?:tie|draw)(?:,\ relatively\ the\ same)?\W*""",
    re.IGNORECASE | re.VERBOSE,
)
"""Text that may stand before a verdict in brackets, so that the brackets belong to nothing else."""
_REASON = r"(?:because|since|as it|due to|for (?:its|the fact|being))\b"
SENTENCE_ENDS = re.compile(rf"{CLOSED}(?:{UNIT})?[^\S\n]*(?:$|[.,;!](?!\d)|{_REASON})", re.IGNORECASE | re.MULTILINE)
NAMED_SCALE = re.compile(r"\bscale (?:of|from) \d+ ?(?:to|[-–]) ?(?P<scale>\d+)", re.IGNORECASE)
FINAL = re.compile(r"\b(?:final|overall|total)\W*$", re.IGNORECASE)
"""Before a label: what is the answer's whole score, and no part of it."""
NOTED_SCALE = re.compile(r"(?:/|\bof\b|\bto\b|[-–]|\bfrom\b|\bmax\w*\W{1,3})\s?(\d+)")
"""The highest score in a note beside a label, in its last match."""


@dataclass(frozen=True)
class Patterns:
    """Patterns for one label and, if the verdict is a word, its words."""

    label: re.Pattern[str]
    claim: re.Pattern[str]
    """The text after the label."""
    marked: re.Pattern[str]
    """A verdict without its label, in double brackets or boxed."""
    alone: re.Pattern[str]
    """A verdict alone. `named` matches if it is named as what the label asks for: A is better."""
    ends: re.Pattern[str]
    """Text that must follow a word, so that it does not begin another sentence: no constraint is broken."""
    another: re.Pattern[str]
    """A clause of a few words that ends with a verdict: actually no, 2."""
    below: re.Pattern[str]
    """A sentence below a verdict that ends with one: it should be a 3."""
    beside: re.Pattern[str]
    """Another one beside it, of another time or under another condition: 4 before deductions, 2 after."""
    given: tuple[re.Pattern[str], re.Pattern[str]]
    """Sentences that give a verdict in other words: I give it 4 points, it earns 4 of 5 points, answer A is better."""


@lru_cache(maxsize=256)
def patterns_of(label: str, words: tuple[str, ...]) -> Patterns:
    """Return the patterns for verdicts after `label`: one of `words`, or a number without words."""
    name = _in_any_case(label)
    thing, subject = (THING, SUBJECT) if words else ("", "")
    verdict = rf"{subject}(?:an? (?=\w\w|\d)|the )?{thing}{_one_word(words) if words else ONE_NUMBER}"
    return Patterns(
        _label_pattern(name),
        _compiled(rf"{AFTER_LABEL}{thing}{SEPARATOR}{OPENED}(?:{verdict})?"),
        _compiled(rf"(?:\[\[|\bboxed ?\{{)[ \"'<(]{{0,4}}+(?:text\w{{0,3}} ?\{{ {{0,4}}+)?{verdict}{S}(?:\]\]|\}})"),
        _compiled(rf"{OPENED}{verdict}(?P<named> is (?:the )?{name}\b)?[\s.!\"'”’»」>)\]}}]*+"),
        _compiled(rf" *+(?:$|[^\w\s]|(?:because|since|due to|between)\b|is (?:the )?{name}\b)"),
        _another(words),
        _below(words),
        _beside(words),
        _preferred(words) if words else (_compiled(_I_GIVE), _compiled(_IT_EARNS)),
    )


def _another(words: tuple[str, ...]) -> re.Pattern[str]:
    value = "|".join(map(_second, _longest_first(words))) if words else rf"{DIGITS}|{SPELLED}"
    skipped = "not|than|of|instead|points?|steps?|items?|claims?|criteri\\w+|parts?|pages?|lines?|sources?"
    no_value = rf"(?!(?:{value})(?!\w))" if words else rf"(?!{SPELLED})"
    word = rf"(?:{no_value}(?!(?:{skipped})\b)[^\W\d]++[ ,]*+)"
    ends = rf"(?:{S}(?:/|(?:out )?of\b){S}\d++)?(?:{S}{UNIT})?{S}(?=[.!?;,)(。]|$|(?:for|in|on|at worst|at best)\b)"
    return _compiled(
        rf"(?:^|[.!?;,:(\[—–。、-]){S}{word}{{0,4}}[\[(\"']*+{THING}(?P<another>{value})(?![\w<>=])[\])\"']*+{ends}"
    )


def _beside(words: tuple[str, ...]) -> re.Pattern[str]:
    value = "|".join(map(_second, _longest_first(words))) if words else rf"{DIGITS}|{SPELLED}"
    return _compiled(
        rf"[,;(—–-]{S}(?:(?:but|and|then|now|or|only|just|so|make){S}){{0,2}}(?P<another>{value})(?![\w<>=]){S}"
        rf"(?:{UNIT}{S})?(?:after|with|without|before|once|overall|initially|originally|including|excluding|when|if"
        r"|following|net|final|now)\b"
    )


def _below(words: tuple[str, ...]) -> re.Pattern[str]:
    thing = THING if words else ""
    value = "|".join(map(_second, _longest_first(words))) if words else rf"{DIGITS}|{SPELLED}"
    value = rf"(?<!\w)(?:an? (?!\w\w))?[\[(\"']{{0,4}}{thing}(?P<another@>{value})(?![\w<>=%])"
    score = rf"(?:(?:it|that|this)\b|(?:my |the )?(?:(?:final )?{_VERDICT}|my (?:choice|answer)))"
    joined = (
        r"(?:or|so|then|no|nope|yes|yeah|well|rather|maybe|perhaps|hence|thus|therefore|instead|now|only|just|say"
        r"|make it|actually|really|in fact|hm+|ok|okay|oh|ah|but|and|wait|sorry|still|on balance|to be fair|edit"
        r"|update|i mean)"
    )
    be = r"(?:be|have been|really|rather|better|only|therefore|in fact|now|to)"
    better = r"(?:better|fairer|fair|more|right|appropriate|justified|closer|correct|enough|preferable|stronger)"
    say = rf"(?:say|go with|settle (?:on|for)|give(?: {_IT})?|choose|pick|prefer)"
    moved = (
        r"lower|rais|reduc|increas|chang|adjust|correct|revis|drop|cut|bring|mov|amend|updat|downgrad|upgrad|bump|com"
    )
    change = rf"(?:{moved})\w*(?: (?:it|this|that|(?:the|my|this) {_VERDICT}))?(?: down| up| from \S+)* to"
    begins = r"(?:^|[.!?;:,(—–-] |\b(?:so|but|and|that|think|fact|then|perhaps|maybe|rather) )"
    ends = rf"(?=[^\w\n]{{0,4}}$|[.!?;,)]| {UNIT}| ?/| out of)"
    forms = (
        rf"^[^\w\n]*(?:{joined}\b[ ,:]*)*{value}[^\w\n]*$",
        rf"\b(?<!when ){score} (?:should|must|ought to|could|can|might|may|would|is|was)(?: {be})* {value}{ends}",
        rf"{begins}{value} (?:is|would be|seems|may be|might be) (?:a )?{better}\b",
        rf"\b(?:{change}|(?:I|we)(?: would|['’]d| will|['’]ll)?(?: rather| now| really| instead)? {say}) {value}{ends}",
    )
    # A pattern may have the name of a group once only, so each form numbers its own.
    return _compiled("|".join(form.replace("@", str(number)) for number, form in enumerate(forms)))


_SCORE_OF = r"(?: as)?(?: an?\b)?(?: (?:total|final|overall))?(?: (?:score|rating|grade|mark)(?: of)?)?"
_I_GIVE = (
    r"\b(?:I|we)(?:['’]d|['’]ll| would| will)? (?:therefore |thus |hence |so )?(?:give|rate|grade|score|award|assign)"
    rf"(?: {_IT})?{_SCORE_OF} [ \[]*{ONE_NUMBER}"
)
NAMES_SCORE = re.compile(rf"\b(?:an?|score|rating|grade|mark|{UNIT})\b", re.IGNORECASE)
"""Words that make a number a score if the judge gives it: I give it a 4. If the answer earns it, it needs a scale."""
SCORE_IN_WORDS = re.compile(rf"\b(?:score|rating|grade|mark) of\b|\b{UNIT}", re.IGNORECASE)
"""Words that make an earned number a score if the reply ends with it: it deserves a score of 4."""
_IT_EARNS = rf"\b{_IT} (?:earns|gets|receives|deserves|merits|scores){_SCORE_OF} [ \[]*{ONE_NUMBER}"


def _preferred(words: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    much = r"(?:(?:clearly|slightly|much|somewhat|overall|far|significantly|definitely|marginally|the|a bit) )*"
    better = r"(?:better|best|superior|preferable|stronger|winner|preferred)\b(?: (?:answer|response|one|choice)\b)?"
    return (
        _compiled(
            rf"\b(?:I|we)(?: would|['’]d)? (?:prefer|choose|pick|favou?r|go with) (?:the )?{THING}{_one_word(words)}"
        ),
        _compiled(rf"\b{THING}{_one_word(words)} is {much}{better}(?: (?:than|to) {THING}\w+)?"),
    )


def _label_pattern(name: str) -> re.Pattern[str]:
    if not name[:1].isalpha() or not name.isascii():
        # Chinese and Japanese have no spaces: what follows may be a letter.
        return _compiled(name if re.search(r"[\u3040-\u30ff\u3400-\u9fff]$", name) else rf"{name}(?![^\W_])")
    # With a set of two letters in front the search skips everything else, and is several times faster.
    return re.compile(rf"[{name[0].lower()}{name[0].upper()}](?i:{name[1:]})(?![^\W_])")


def _longest_first(words: tuple[str, ...]) -> list[str]:
    return sorted(words, key=len, reverse=True)


def _second(word: str) -> str:
    # A second letter counts only as the rubric has it: in "A, a better answer" the second a is no verdict.
    return f"(?-i:{re.escape(word)})" if len(word) == 1 else _in_any_case(word)


def _one_word(words: tuple[str, ...]) -> str:
    second = "|".join(map(_second, _longest_first(words)))
    more = rf"(?P<more>{CLOSED}(?:(?:or|and|vs)\b|[/,&+|])[ \[(\"'“‘]*+(?:the )?{THING}(?:{second})(?![\w<>=]))?+"
    any_case = "|".join(map(_in_any_case, _longest_first(words)))
    return rf"(?P<verdict>{any_case})(?!\w| ?[<>=]+ ?\w|{S}\?){more}"


def _in_any_case(words: str) -> str:
    """Return a pattern for `words` in any spacing: spaces between two words, optional ones around signs."""
    parts = re.findall(r"[^\W_]+|[^\w\s]+", words)
    gaps = [" +" if a[-1].isalnum() and b[0].isalnum() else " *" for a, b in pairwise(parts)]
    return "".join(re.escape(part) + gap for part, gap in zip(parts, [*gaps, ""], strict=True))


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)
