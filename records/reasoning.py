"""Finds the part of a reply that is the model's answer, without its reasoning and without text after its turn.

Models mark both in their own ways, and a server or a tokenizer may hand the marks on as text. A mark within a quotation
is text that the model repeats.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

Tags = tuple[str, str]
"""The opening and closing tag of a model's reasoning, as its chat template spells them."""

_THOUGHT = (
    r"(?:[a-z]\w{0,15}:)?(?:[a-z]{1,15}_)?"
    r"(?:think(?:ing)?|thoughts?|reasoning|analysis|reflection|scratch(?:pad)?|cot|chain_of_thought"
    r"|internal|deliberation|rationale|(?:inner_)?monologue)"
    r"(?:_(?:fast|faster|process|mode))?"
)
_OPENS = rf"""
    [<\[◁] \|? {_THOUGHT} (?:\ [^<>\n]{{0,80}})? \|? [>\]▷]
    | <\| (?:start|begin)(?:_of)?_{_THOUGHT} \|> | <\| {_THOUGHT}_(?:start|begin) \|>
    | <\|inner_prefix\|> | <unused94> | \A\s*thinking\.\.\.$
"""
_CLOSES = rf"""
    [<\[◁] \|? / {_THOUGHT} \|? [>\]▷]
    | <\| end(?:_of)?_{_THOUGHT} \|> | <\| {_THOUGHT}_end \|>
    | <\|inner_suffix\|> | <unused95> | <channel\|> | ^\.\.\.done\ thinking\.
"""
_CHANNEL = r"<\|channel\|?> \s* (?!final\b) (?:[a-z]\w*)? | \A\s*(?-i:analysis|commentary)(?=[A-Z\"'“])"
"""A channel that is not shown to the user: of Harmony, of Gemma 4, and of Harmony without its tokens."""
_ANSWERS = r"""
    <\|channel\|> \s* final\b [^<\n]{0,40} (?:<\|constrain\|>[^<\n]{0,40})? (?:<\|message\|>)?
    | <\| (?:start_response|response_start|begin_of_(?:solution|answer|response)|content) \|>
    | \[begin\ final\ response\] | ^(?:here\ is\ my\ response:|[#]+\ final\ response\b)
    | assistant\s?final(?=\W|[A-Z\d])
"""
"""Marks that begin the answer after reasoning that may have no closing mark."""
_USER = r"""
    (?:<\|(?:im_start|start|turn)\|?> | <start_of_turn> | <\|(?:start_header_id|header_start|start_of_role)\|>) \s*
    (?:user|system|developer|human|tool|ipython)\b
    | <[|｜](?:user|human|system|observation|user_token|im_user)[|｜]> | \[\|user\|\] | \[INST\]
"""
_TURN = r"""
    <[|｜] (?!(?:message|constrain|content|begin_of_box|end_of_box|"|think|/think)[|｜]) [^\s<>|｜]{1,40} [|｜]>
    | <\|?turn\|?> | <(?:start|end)_of_turn> | <(?:s|/s|eos|bos|pad|eop|sop|eot|eoa|eoh|eod|sep|end_of_text)>
    | <</?SYS>> | \[/?(?:INST|SYSTEM_PROMPT|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS)\] | \[gMASK\]
    | \[\|[a-z_]{1,20}\|\] | \]~!?b\[?\]? | \[e~\[ | <seed:[be]os> | <SPECIAL_\d+> | <extra_id_\d+> | <reserved_\d+>
    | </?role> | \[end\ final\ response\]  | <C_[QA]> | \[UNUSED_TOKEN_\d+\]
"""
_HEADER = re.compile(
    r"""(?:\s*+(?:
    <[|｜](?:im_start|start|turn|begin|begin_of_text|startoftext|(?:start|end)_of_role|(?:start|end)_header_id
        |header_(?:start|end)|start_of_turn_token|bos_token|begin▁of▁sentence|im_(?:assistant|middle|sep)
        |assistant(?:_start)?|chatbot_token)[|｜]?>
    | <s> | <bos> | <start_of_turn> | \[/INST\] | \[\|assistant\|\] | \]~!?b\[?\]? | <seed:bos> | \[gMASK\] | <sop>
    )(?:assistant|model|ai\b)?)++ \s*+""",
    re.IGNORECASE | re.VERBOSE,
)
"""The opening of a reply's own turn, which some servers return with the reply."""


_NOTHING = re.compile(r"(?:\s|</\w+>)*+")  # possessive, as in _HEADER: no way back, so the time stays linear


def answer_span(reply: str, tags: Sequence[Tags] = ()) -> slice | None:
    """Return the part of `reply` that is the model's answer, or None if the reply stops inside its reasoning.

    Reasoning is the text between the marks of any known family or of `tags`. If the prompt opened it, the reply only
    closes it. The answer ends at a mark that ends its turn or begins another. A reasoning tag within a sentence is a
    mention and opens nothing. Takes time linear in the length of the reply.
    """
    start, end = 0, len(reply)
    is_json = reply.lstrip("\ufeff \t\r\n").startswith(
        ("{", "```")
    )  # no reasoning before it: a tag in a string is text
    inside, turned = "", False
    before: slice | None = None
    quoted, last_quote = "", max(reply.rfind('"'), reply.rfind("”"))
    for mark in _marks(tuple(tags)).finditer(reply):
        kind, place = str(mark.lastgroup), mark.start()
        # A mark in backticks or quotes of its own is spoken of.
        if place and reply[place - 1] in "`'" and reply[mark.end() : mark.end() + 1] == reply[place - 1]:
            continue
        if kind == "quote":
            quoted = "" if inside else _quotation(reply, place, quoted)
        elif kind == "closes" and not (quoted and is_json):
            start, inside, turned, quoted = mark.end(), "", False, ""
        elif quoted and place < last_quote:
            continue
        elif kind == "answers":
            start, inside, turned = mark.end(), "", False
        elif kind in ("opens", "channel"):
            if inside == "opens" and turned:
                return None  # the first one never ended, and this is another turn's
            if not inside and (kind == "channel" or _begins(reply, start, place)):
                inside, before = kind, slice(start, place)
        elif inside:
            if kind == "user" and inside == "channel":
                return None
            turned = True
        elif kind == "turn" and (header := _HEADER.match(reply, start)):
            start = header.end()
        elif place >= start:
            end = place
            break
    if inside:
        return None
    # Reasoning may follow an answer, as in <score>4</score><reasoning>…</reasoning>.
    return before if before and _NOTHING.fullmatch(reply, start, max(start, end)) else slice(start, max(start, end))


def without_reasoning(text: str) -> str:
    """Return an answer without the reasoning before it, as a server returns it that keeps the two apart.

    If the reasoning never ends, there is no answer, and the text is returned unchanged.
    """
    span = answer_span(text)
    return text[span.start :].lstrip() if span is not None and span.start else text


def _begins(reply: str, start: int, place: int) -> bool:
    """Return whether a tag opens reasoning: it is a control token, or begins the answer, a line or a sentence."""
    # A window, because the text before each of many tags takes quadratic time.
    before = reply[max(start, place - 40) : place].rstrip(" \t")
    return not before or before[-1] in "\n\r.!?:>" or reply.startswith(("<|", "◁"), place)


def _quotation(reply: str, place: int, quoted: str) -> str:
    """Return the mark that will close the quotation around the text after the mark at `place`, or nothing."""
    mark, before = reply[place], reply[max(0, place - 20) : place]  # so many backslashes are counted at most
    escaped = (len(before) - len(before.rstrip("\\"))) % 2
    if quoted or escaped:
        return "" if mark == quoted and not escaped else quoted
    if mark == "“":
        return "”"
    return '"' if mark == '"' and (not before or before[-1] in "([{:,=" or before[-1].isspace()) else ""


@lru_cache(maxsize=64)
def _marks(tags: tuple[Tags, ...]) -> re.Pattern[str]:
    # re.escape also escapes spaces and #, which re.VERBOSE would drop.
    escaped = [[re.escape(side.strip()) for side in sides if side.strip()] for sides in zip(*tags, strict=True)]
    opening, closing = escaped or [[], []]
    # The order decides if several fit: `<|channel|>final` begins an answer, another channel reasoning, and any other
    # `<|…|>` ends a turn.
    groups = {
        "answers": [_ANSWERS],
        "channel": [_CHANNEL],
        "closes": [*closing, _CLOSES],
        "opens": [*opening, _OPENS],
        "user": [_USER],
        "turn": [_TURN],
        "quote": ['["“”]'],
    }
    # No pattern has a group that captures, so `lastgroup` is the name of the whole.
    parts = [f"(?P<{name}>{'|'.join(patterns)})" for name, patterns in groups.items()]
    return re.compile("|".join(parts), re.IGNORECASE | re.VERBOSE | re.MULTILINE)
