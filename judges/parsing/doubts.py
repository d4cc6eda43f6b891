"""Signs in the text that a verdict does not count: it is supposed, denied, reported, hedged or taken back.

A verdict that is only supposed or reported is not the judge's own and is left out. One that is hedged or taken back
leaves the reply without a verdict. In doubt there is none, because a missing verdict is counted and can be asked for
again, while a wrong one goes unnoticed.
"""

import re
from collections.abc import Iterable

LOOKED_AT = 160
"""Characters before and after a verdict that are looked at."""


def _pattern(text: str) -> re.Pattern[str]:
    """Return a case-insensitive pattern from `text`, in which only escaped spaces count."""
    return re.compile(text, re.IGNORECASE | re.VERBOSE | re.MULTILINE)


_CONSEQUENCE = _pattern(
    r".*\b(?: so | thus | therefore | hence | accordingly | overall | in\ total | all\ in\ all | my )\b"
)
_SUPPOSED = _pattern(r"""
    \b(?: if | had | were | unless | would | could | should | might | suppose | imagine | whether | doubt | wonder
    | example | instance | form(?:at)? | think\ that | thought | asks?(?:ed)? | wants?(?:ed)? | hopes? | requests?
    | claim(?:s|ed|ing)? | says? | (?<!that\ )said | saying | stat(?:es?|ed|ing) | writes? | wrote | written | reads?
    | insists? | asserts? | argues? | tells? | told | declares? | announces? | demands? | user | student | author
    | writer | he | she | they | his | her | their | game | match | team | exam | according )\b
    | (?<!\bit)(?<!\bthat)['’]s\b
""")
_DENIED = _pattern(
    r"\b(?: not | no | never | nor | neither | cannot | without | nothing | hardly | (?:don|doesn|isn|can|won)['’]t )\b"
)
_PERHAPS = _pattern(
    r"\b(?: perhaps | maybe | possibly | probably | presumably | arguably | likely | may | almost | roughly )\b"
)
_IF_ABOVE = _pattern(r"[^\w\n]*(?: if | had | were | with | without | unless | suppose )\b[^\n]*[:,]\ *")
_AFTER = r"""[\s,;:(\[\])}>"'”’—–-]*+"""
_HEDGED = _pattern(rf"""
    {_AFTER} (?:(?:but|and|or|though|well|just)[, ]+)*+ (?:
    maybe | perhaps | probably | possibly | presumably | arguably | likely | unsure | uncertain | tentative
    | provisional | roughly | approx | around | about\b | for\ now | so\ far | pending | subject\ to | \w+ish\b
    | to\ be\ confirmed | by\ default
    | (?:just\ |only\ )?(?:as\ )?(?:an?\ )? (?:placeholder|default|guess|dummy|arbitrary|random)\b
    | before\b (?!\ (?:the\ )?(?:end|deadline)) | prior\ to | pre-\w+ | not\ counting | excluding | excl\b
    | less\ (?:an?|the|any|some)\b | without\ (?:\w+\ )?(?:bonus|deduct|penalt|counting|adjust)
    | initial(?:ly)?\b | original(?:ly)?\b | at\ first\b | to\ (?:begin|start)\b | raw\b | gross\b | unadjusted
    | draft\b | interim\b | preliminar
    | not\ (?:(?:quite|entirely|really|very|so|totally|completely|absolutely|fully)\ )? (?:sure|certain)
    | i\ (?:guess|suppose|think|believe|mean|would\ say) \W* (?:$|[.,;!)])
    | or\ (?:so|rather|thereabouts|higher|lower|more|less|above|below|better|worse)\b
    | at\ (?:the\ )?(?:very\ )?(?:best|most|least)\b | give\ or\ take | more\ or\ less
    | if\b | unless | provided | assuming | depend | as\ long\ as | in\ case | otherwise | else\b | when\b
    | only\ (?:if|when)\b | [^.!?\n]{{0,80}}\? )
""")
"""Hedges and conditions right after a verdict, in the same sentence."""
_HEDGED_WORD = _pattern(rf"""
    {_AFTER} (?: but | however | though | although | albeit | yet | except | mostly | partly | largely | barely | almost
    | nearly | somewhat | kind\ of | sort\ of | to\ some | in\ (?:part|style|form) | for
    | with\ (?:\w+\ )?(?:reservations?|caveats?) )\b
""")
"""Words that also restrict a verdict that is a word. After a number they give a reason: 4, but it has no sources."""
_SCORE = r"(?:score|rating|grade|verdict)\b"
_AGAIN = (
    "consider|vis|view|think|grade|scor|rat|evaluat|assess|calculat|count|check|do|tract|plac|read|examin|comput|write"
)
_CHANGE = rf"(?:re-?(?:{_AGAIN})\w*|correct|change|fix|adjust|lower|raise|withdraw)\b"
_TAKEN_BACK = _pattern(rf"""
    (?:^|[.!?;,:…(\[。—–-]|\bbut\b) [ *_]*+ (?:(?:oh|well|but|and|hm+|ok|okay),?\ )*+ (?:
    (?:no|nope|nah)\b \s* [,.:;!?—–-]
    | wait\b (?=\W*$ | \s?[,.:;!?…—–-] | \s(?:actually|but|i|it|let|maybe|no|that|the|there|this|we)\b)
    | hmm+\b | oops\b | hold\ on\b
    | actually\b\ ? (?:[,:\d] | (?:no|yes|safe|unsafe|let|i|it|that|make|both|neither|a\ tie|(?-i:[AB])
      |the\ (?:better|answer))\b | the\ {_SCORE})
    | (?:up)?on\ (?:\w+\ ){{0,2}} (?:reflection|second\ thoughts?|(?:re)?consideration|inspection|review|re-?reading
      |look)\b
    | (?:scratch|strike|cancel|forget|ignore|disregard|delete|retract|{_CHANGE})
      \ (?:(?:that|this|it)\b | the\ (?:(?:above|previous|last)\b | {_SCORE}))
    | (?:correction|corrected|erratum|amended|revised|revision)\b | (?:edit|update)\ ?:
    | sorry\b | apologies | my\ (?:mistake|bad|error)\b | never\ ?mind | come\ to\ think | in\ hindsight
    | thinking\ again
    | i\ (?:mean|meant|retract|withdraw|reconsider|misread|misjudged|now\ think)\b
    | i\ (?:(?:have\ )?changed?\ my\ mind | was\ (?:wrong|mistaken|too) | take\ (?:that|this|it)\ back)
    | i\ made\ an?\ (?:mistake|error) | let\ me\ (?:think|double|look|start|{_CHANGE})
    | i\ (?:should|must|have\ to|need\ to|want\ to|will|'ll)\ (?:\w+\ )? (?:say\b|{_CHANGE})
    | i(?:'d|’d|\ would)\ (?:rather\b|{_CHANGE}) | i(?:'m|’m|\ am)\ (?:chang|revis|lower|rais|withdraw|correct)ing\b
    | (?:i(?:'m|’m|\ am)\ )? (?:not\ (?:\w+\ )?(?:sure|certain)|unsure|uncertain)\ (?:about|of)
      \ (?:this|that|my|the)\ {_SCORE}
    | please\ (?:ignore|disregard) | (?:retracted|withdrawn|crossed\ out|struck\ out|cancelled|superseded|void)\b
    | change\ (?:it|that)\b | make\ (?:it|that)(?:\ [\w>=.,/]+){{1,3}}\W*$
    | (?:that|this)\ (?:was|is|seems|may\ be)\ (?:an?\ )? (?:mistake|error|typo|wrong
      |too\ (?:high|low|generous|harsh|kind|strict|lenient|severe))\b
    | (?:the|my|this)\ {_SCORE}\ (?:(?:should|ought|must|needs|has\ to)\b
      |is\ (?:\w+\ )?(?:provisional|tentative|uncertain|preliminary|a\ guess)) )
""")


def not_own(sentence: str, line_above: str) -> bool:
    """Return whether the words before a verdict in its sentence suppose, deny or report it."""
    if _IF_ABOVE.fullmatch(line_above):
        return True
    consequence = _CONSEQUENCE.match(sentence)
    supposition = sentence[consequence.end() :] if consequence else sentence
    clause = re.split(r"[,;:—–]", supposition)[-1]
    return bool(_SUPPOSED.search(supposition) or _DENIED.search(clause))


def is_hedged_before(sentence: str) -> bool:
    """Return whether the words before a verdict in its sentence hedge it."""
    return bool(_PERHAPS.search(sentence))


def is_hedged(rest: str, *, is_word: bool) -> bool:
    """Return whether the words after a verdict hedge or restrict it."""
    return bool(_HEDGED.match(rest) or (is_word and _HEDGED_WORD.match(rest)))


def is_taken_back(rest: str) -> bool:
    """Return whether the words after a verdict, on its line or below, take it back."""
    return bool(_TAKEN_BACK.search(rest))


def add_up(values: Iterable[float | None], total: float) -> bool:
    """Return whether `values` are parts whose sum is `total`."""
    parts = list(values)
    return len(parts) > 1 and None not in parts and sum(part or 0 for part in parts) == total


def sentence_before(text: str, place: int) -> str:
    """Return the words before `place` in its sentence, at most LOOKED_AT characters."""
    before = text[max(0, place - LOOKED_AT) : place].rpartition("\n")[2]
    return re.split(r"[.!?]\s", before)[-1]
