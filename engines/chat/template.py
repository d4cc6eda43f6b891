"""Puts conversations into a model's chat template: the one way for asking, judging, training and likelihoods.

No text can be taken for a control token there, a template that refuses system turns gets them in the first user turn,
and what a template refuses otherwise is an error that names the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from console.errors import InputError
from console.progress import say
from engines.adapters import tokenizer_folder
from engines.chat.families import COMMON_SPECIAL_TOKENS, MARKUP, OWN_WORDS
from engines.chat.neutral import SEPARATORS, check_roles, neutralise
from records.keys import content_key
from records.rows import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ResultT = TypeVar("ResultT")
MARK = "judgeloop{}mark"
"""A text for trying out a template."""
BRACKETED = re.compile(r"<[^\s<>]{1,60}>|<<[^\s<>]{1,60}>>|\[/?[|A-Z][^\s\[\]]{0,60}\]")
"""Text of a template that looks like a control token."""
WORDED = re.compile(r"#{2,}\ ?[^\W\d_][\w ]{0,20}:|\b[A-Z]{4,}:")
"""The words with which a template without control tokens begins a turn: ### User:, USER:."""
ODD = re.compile(r"(?=.*[^\W\d_]{2}).*[^\w\s]", re.DOTALL)
"""An added token with a word and a sign in it, such as {user}, which is a control token if the template writes it."""
PIPED = re.compile(r"<[|｜][^<>]{1,60}[|｜]>")
SIGNS = set("<>[]|｜")
"""Signs of a control token. An added token without any is a word or white space."""
TRIED = (("system", "user", "assistant", "user"), ("user", "assistant", "user"), ("user",))
"""Conversations for finding out what a template writes. The first that it accepts is used."""


@dataclass
class _Known:
    """Facts about a tokenizer and its template."""

    made_of: tuple[object, ...]
    tokens: tuple[str, ...]
    own_words: tuple[str, ...]
    """The same for an assistant's turn, in which its thoughts and its calls are its own."""
    loose_ids: frozenset[int]
    """The tokens that are found in other spellings too, because the text is normalised before it is searched."""
    merges: dict[tuple[str, ...], bool] = field(default_factory=dict)
    """For each order of roles: whether the template does without its system turns."""
    is_reported: bool = False
    """True if the difference between learning and asking was reported."""


# Weak, so that a tokenizer goes from memory with its model.
_KNOWN: WeakKeyDictionary[PreTrainedTokenizerBase, _Known] = WeakKeyDictionary()


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Return the control tokens of turns, tools and thoughts for a model with this tokenizer, in alphabetical order.

    They are every special token, also one that only tokenizer.json calls special, the control tokens of the known
    families, and those of the other added tokens and of the vocabulary that the template writes or that look like one.
    """
    return _known(tokenizer).tokens


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Return the tokenizer's special tokens, also those that only tokenizer.json marks, in alphabetical order.

    A model without a chat template, such as an encoder, has no other control tokens.
    """
    return tuple(sorted(_special(tokenizer)))


def safe_messages(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[Message]:
    """Return the turns for the template: control tokens in texts taken apart, system turns merged if it has none.

    Raises InputError for a role that is not known.
    """
    check_roles(messages)
    known = _known(tokenizer)
    safe = [message | {"content": _safe_text(tokenizer, known, message)} for message in messages]
    roles = tuple(message["role"] for message in safe)
    if "system" not in roles and "developer" not in roles:
        return safe
    if roles not in known.merges:
        known.merges[roles] = not _shows_system(tokenizer, roles)
        if known.merges[roles] and sum(known.merges.values()) == 1:  # said once, at the first order of roles
            say(f"{_name(tokenizer)}: its chat template has no system turn there: its text opens the next user turn")
    return _merged(safe) if known.merges[roles] else safe


def rendered(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, opening: bool) -> str:
    """Return the conversation in its template, with `opening` up to the beginning of the assistant's next turn.

    Raises InputError, which names the model, if the template refuses it.
    """
    safe = safe_messages(tokenizer, messages)
    return _asked(tokenizer, safe, lambda: str(_apply(tokenizer, safe, opening)))


def encoded(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of texts that a template wrote: it has written its own beginning-of-text token."""
    return list(tokenizer(list(texts), add_special_tokens=False)["input_ids"]) if texts else []


def check_example(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[Message], answer: Sequence[Message]) -> None:
    """Raise InputError if the template refuses a prompt with its answer, both as `safe_messages` returns them.

    If it opens an answer differently from a request for one, that is reported once, because the model would learn
    another task.
    """
    chat, known = [*prompt, *answer], _known(tokenizer)
    opening = str(_asked(tokenizer, prompt, lambda: _apply(tokenizer, prompt, True)))
    whole = str(_asked(tokenizer, chat, lambda: _apply(tokenizer, chat, False)))
    text = answer[0]["content"].strip() if answer else ""
    before = whole.removeprefix(opening).partition(text)[0].strip() if text else ""
    if (before or not whole.startswith(opening)) and not known.is_reported:
        known.is_reported = True
        say(
            f"{_name(tokenizer)}: its chat template writes {before[:60]!r} before an answer that is learnt and not "
            "where it asks for one; choose with --chat-template-kwargs, for many models '{\"enable_thinking\": false}'"
        )


def load_tokenizer(folder: Path | str, kwargs: Mapping[str, Any] | None = None) -> PreTrainedTokenizerBase:
    """Return the tokenizer in `folder`, whose template has `kwargs` as the defaults of its variables.

    So the choice holds for whoever renders, for TRL too, and a model that is trained with it keeps it.
    """
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tokenizer_folder(Path(folder)))
    if kwargs:
        set_defaults(tokenizer, kwargs)
    return tokenizer


def set_defaults(tokenizer: PreTrainedTokenizerBase, kwargs: Mapping[str, Any]) -> None:
    """Write `kwargs` into the template as the defaults of its variables. Raises InputError for a bad name."""
    sets = [
        f"{{% if {name} is not defined %}}{{% set {name} = {_literal(value)} %}}{{% endif %}}"
        for name, value in sorted(checked_kwargs(kwargs).items())
    ]
    head = "".join(sets) + "{{ '' }}"  # or the line break that a template begins with would be lost
    template = tokenizer.chat_template
    if isinstance(template, dict):
        tokenizer.chat_template = {name: _headed(head, text) for name, text in template.items()}
    elif template is not None:
        tokenizer.chat_template = _headed(head, template)


def with_kwargs(digest: str, kwargs: Mapping[str, Any] | None) -> str:
    """Return the digest of a model whose template has `kwargs`, or the same digest if there are none."""
    return content_key(digest, dict(kwargs)) if kwargs else digest


def checked_kwargs(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `kwargs`. Raises InputError if a name cannot be that of a template's variable."""
    for name in kwargs:
        if not name.isidentifier() or name in ("messages", "add_generation_prompt", "tools", "documents"):
            raise InputError(f"--chat-template-kwargs: {name!r} is not a variable that can be set")
    return kwargs


def _headed(head: str, template: str) -> str:
    # A model that was saved with the defaults has them already.
    return template if template.startswith(head) else head + template


def _literal(value: Any) -> str:
    """Return `value` as Jinja writes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value)


def _safe_text(tokenizer: PreTrainedTokenizerBase, known: _Known, message: Message) -> str:
    text = neutralise(message["content"], known.own_words if message["role"] == "assistant" else known.tokens)
    if not known.loose_ids:
        return text
    for separator in SEPARATORS:
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        pairs = zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)
        spans = [span for token, span in pairs if token in known.loose_ids]
        if not spans:
            return text
        # From the end, so that the places before it stay right.
        for start, end in reversed(spans):  # an offset may have the white space before the token in it
            start += len(text[start:end]) - len(text[start:end].lstrip())
            text = text[: start + 1] + separator + text[start + 1 :]
    raise InputError(f"{_name(tokenizer)}: a text keeps a control token however it is taken apart: {text[:60]!r}")


def _known(tokenizer: PreTrainedTokenizerBase) -> _Known:
    # A tokenizer can be changed after it was seen, for example by `set_defaults`.
    made_of = (str(tokenizer.chat_template), len(tokenizer), tuple(tokenizer.all_special_tokens))
    known = _KNOWN.get(tokenizer)
    if known is None or known.made_of != made_of:
        special, other = _tokens_of(tokenizer)
        tokens = tuple(sorted(special | other))
        in_own_turns = tuple(token for token in tokens if token in special or token not in OWN_WORDS)
        known = _KNOWN[tokenizer] = _Known(made_of, tokens, in_own_turns, _loose_ids(tokenizer, special))
    return known


def _tokens_of(tokenizer: PreTrainedTokenizerBase) -> tuple[set[str], set[str]]:
    """Return the tokens that the tokenizer calls special, and whatever else controls."""
    special, added = _special(tokenizer), tokenizer.added_tokens_decoder.values()
    vocabulary = tokenizer.get_vocab()
    source, written = str(tokenizer.chat_template or ""), _scaffold(tokenizer)
    # Of other families too: a model may have seen their templates in training.
    common = {token for token in COMMON_SPECIAL_TOKENS if token not in MARKUP or token in vocabulary}
    plain = {
        added_token.content for added_token in added if not added_token.special and set(added_token.content) & SIGNS
    }
    # The source has tokens of branches that the tried conversation does not reach, such as those of tools.
    used = {token for token in plain if token in source or token in written}
    used |= {
        added_token.content
        for added_token in added
        if ODD.search(added_token.content) and added_token.content in written
    }
    piped = {token for token in vocabulary if PIPED.fullmatch(token)}
    return special, common | used | piped | set(BRACKETED.findall(written)) | set(WORDED.findall(written))


def _special(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    added = tokenizer.added_tokens_decoder.values()
    return {str(token) for token in tokenizer.all_special_tokens} | {token.content for token in added if token.special}


def _loose_ids(tokenizer: PreTrainedTokenizerBase, special: set[str]) -> frozenset[int]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.normalizer is None:
        return frozenset()
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(number for number, token in added if token.normalized and token.content in special)


def _scaffold(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the text that the template writes around the texts of a conversation, or nothing without a template."""
    if tokenizer.chat_template is None:
        return ""
    for roles in TRIED:
        try:
            text = str(_apply(tokenizer, _marked(roles), True))
        except _template_errors():  # the next conversation is tried
            continue
        return re.sub(MARK.format(r"\d+"), "\n", text)
    return ""


def _shows_system(tokenizer: PreTrainedTokenizerBase, roles: tuple[str, ...]) -> bool:
    """Return whether the template takes such a conversation and writes every system turn of it."""
    try:
        text = str(_apply(tokenizer, _marked(roles), False))
    except _template_errors():  # any other problem is reported when the conversation is rendered
        return False
    return all(MARK.format(n) in text for n, role in enumerate(roles) if role in ("system", "developer"))


def _marked(roles: Sequence[str]) -> list[Message]:
    return [{"role": role, "content": MARK.format(n)} for n, role in enumerate(roles)]


def _merged(messages: Sequence[Message]) -> list[Message]:
    """Return the conversation without system turns: their texts open the next user turn, or are one at its end."""
    merged: list[Message] = []
    waiting: list[str] = []
    for message in messages:
        if message["role"] in ("system", "developer"):
            waiting.append(message["content"])
        elif message["role"] == "user" and waiting:
            merged.append(message | {"content": "\n\n".join([*waiting, message["content"]])})
            waiting = []
        else:
            merged.append(message)
    return [*merged, {"role": "user", "content": "\n\n".join(waiting)}] if waiting else merged


def _apply(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], opening: bool) -> object:
    return tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=opening)


def _asked(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], apply: Callable[[], ResultT]) -> ResultT:
    """Return what `apply` returns. Raises InputError if the template fails."""
    try:
        return apply()
    except _template_errors() as error:
        roles = ", ".join(message["role"] for message in messages)
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{_name(tokenizer)}: its chat template refuses a conversation of the turns {roles}: {reason}; change the "
            "turns of the rows, or use a model whose template takes them"
        ) from None


def _template_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of a template that refuses a conversation or misreads it."""
    from jinja2.exceptions import TemplateError

    return (TemplateError, TypeError, KeyError, IndexError, AttributeError, ValueError)


def _name(tokenizer: PreTrainedTokenizerBase) -> str:
    return str(getattr(tokenizer, "name_or_path", "") or "the model")
