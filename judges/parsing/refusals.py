"""Recognises replies that refuse to judge. A verdict in such a reply does not count."""

import re

from judges.parsing.text import QUOTED

_LOOKED_AT = 400
"""Characters at the start of a reply, and after its verdict, that are read."""
_POLITE = r"""(?:
    (?: (?:i(?:['’]m|\ am)\ )?(?:(?:really|very|so|truly|deeply)\ )?(?:sorry|afraid) | (?:my\ )?apologies
    | i\ apologi[sz]e | unfortunately | regrettably | sadly | honestly | as\ an?\ [^,.\n]{1,60} | given[^,.\n]{1,60}
    | hmm* | well | thank\ you[^,.\n]{0,30} | for\ safety\ reasons ) (?:[,.:;!—–-] | \ (?:but|that)\b)*+\s*+
)"""
_I = r"(?:I|we)(?:['’](?:m|re)|\ am|\ are)?"
_NOT = rf"""(?:
    {_I}\ (?:(?:really|simply|just|also)\ )? (?: can(?:['’]t|not|\ not) | won['’]t | will\ not | could(?:\ not|n['’]t)
      | do(?:\ not|n['’]t)\ (?:feel\ comfortable|want\ to) | (?:must|have\ to)\ (?:decline|refuse)(?:\ to)?
      | decline\ to | refuse\ to | would\ rather\ not | prefer\ not\ to ) (?:\ be)?
    | {_I}\ (?:unable | not\ (?:able|allowed|permitted|comfortable|qualified|willing|in\ a\ position)) (?:\ to)?
    | (?:my|the|our)\ (?:\w+\ )?(?:guidelines?|polic(?:y|ies)|rules?|instructions?|principles?|programming|role)
      \ (?: do(?:es)?(?:\ not|n['’]t)\ (?:allow|permit|let) | prevents? | prohibits? | forbids? | stops? )
      \ me\ ?(?:to|from)?
    | I['’]d\ rather\ not | (?:it\ is|it['’]s)\ (?:impossible|not\ possible)\ (?:for\ me\ )?to
    | there\ is\ no\ way\ (?:for\ me\ )?to
)"""
_JUDGE = r"""(?:(?:reliably|fairly|properly|really|accurately|meaningfully|confidently)\ )?
    (?: scor | rat | judg | grad | evaluat | assess | apprais | review | mark | rank | help | assist | comply | engag
      | provid | giv | assign | offer | determin | produc | answer | fulfil | complet | process | continu | respond
      | participat | do | comment | compar )(?:e|es|ing|l|d|s)?\b
    (?![^.!?\n]{0,40}\b(?:higher|above|more|better|lower|full|top|perfect|maximum|highest|beyond|over|whether|anything|\d))
"""
_SCORE = r"""(?:an?\ |any\ )? (?:(?:fair|real|meaningful|reliable|proper|numeric(?:al)?)\ )?
    (?:scores?|ratings?|grade|verdict|judge?ment|evaluation|assessment)"""
_TEXT = r"""(?:the|an?|such|this|that|any)\ (?:\w+\ )?
    (?:answer|response|reply|submission|content|request|text|conversation|task|prompt|material|message)s?"""
_WHAT = rf"""(?: (?:\ (?:with|on|to|in|you|about|any|such|of|out|here)\b){{0,3}} (?: \ ?(?:[.,;:!)\n—–-]|$)
    | \ (?:it|them)\ (?:fairly|properly|reliably|here|as|without|because|since)\b | \ (?:it|them)\ ?(?:[.,;:!)\n—–-]|$)
    | \ (?:this|that|these|those|you|your|{_SCORE}|{_TEXT}|harmful|explicit|inappropriate|sensitive|content|requests?
      |either|so|without|because|from|as)\b ))"""
_REFUSES = rf"""(?: {_NOT}\ {_JUDGE}{_WHAT}
    | (?:there\ is|there['’]s|i\ have|i\ do(?:\ not|n['’]t)\ have)\ (?:not\ |in)?(?:enough|sufficient)
      \ (?:information|context|evidence)\ to\ {_JUDGE} )"""
_FIRST = re.compile(rf"[\W_]*{_POLITE}{{0,3}}{_REFUSES}", re.IGNORECASE | re.VERBOSE)
_JUDGED = "(?:scored|rated|judged|graded|evaluated|assessed)"
_AFTER = re.compile(
    rf"""(?:^|[.!?;:,(—–-]) [^\w\n]* (?:(?:because|since|as|but|although|though)\ )? {_POLITE}{{0,3}} (?: {_REFUSES}
    | (?:unable|not\ able|impossible|refus\w+|declin\w+)\ to\ {_JUDGE}
    | (?:this|it|(?:the|this|such|an?)\ (?:\w+\ )?(?:answer|response|reply|content|request))?\ ?
      (?:cannot|can['’]t|can\ not|could\ not)\ be\ (?:\w+\ )?{_JUDGED}
      (?!\ (?:any\ )?(?:higher|better|lower|above|below|more|less|as|well|highly|over|beyond|worse))
    | no\ (?:score|rating|verdict|judge?ment|evaluation)\ (?:is\ |was\ )?(?:possible|given|can|could|assigned)
    | not\ (?:{_JUDGED}|applicable|scor(?:e)?able)\b | n/a\b )""",
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)


def refuses(said: str) -> bool:
    """Return whether a text begins by refusing to judge, or to go on at all."""
    return bool(_FIRST.match(said[:_LOOKED_AT]))


def is_refused_after(rest: str) -> bool:
    """Return whether the text after a verdict denies it: Score: 0. I cannot rate this."""
    return bool(_AFTER.search(QUOTED.sub(lambda quoted: " " * len(quoted[0]), rest[:_LOOKED_AT])))
