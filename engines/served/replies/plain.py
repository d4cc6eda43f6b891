"""JSON of a server as plain data, read with forbearance, and what says that there is none."""

import json

KEPT_CHARS = 4096
"""The longest text that is kept for a message, before its secrets are hidden and it is shortened."""
SURROGATES = dict.fromkeys(range(55296, 57344), "�")  # U+D800 to U+DFFF


class BrokenReply(Exception):  # noqa: N818 (nothing is wrong with the program)
    """A reply is broken. Its cost counts nevertheless."""

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        may_pass: bool = False,
        n_prompt_tokens: int = 0,
        n_tokens: int = 0,
    ) -> None:
        """Say the reason, the status that the body names, and whether another attempt may succeed."""
        super().__init__(reason)
        self.reason, self.status, self.may_pass = reason, status, may_pass
        self.n_prompt_tokens, self.n_tokens = n_prompt_tokens, n_tokens


def parse_text(text: str) -> object:
    """Return the JSON value of `text`. Raises BrokenReply as `parse_body` does."""
    text = text.lstrip("\ufeff \t\r\n")
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except RecursionError:
        raise BrokenReply("the reply is nested too deeply") from None
    except ValueError:
        value, end = None, -1
    # Bytes after a whole reply are a server's slip. After anything else they show that it is not one value.
    if end < 0 or (text[end:].strip() and not (isinstance(value, dict) and {"choices", "error"} & value.keys())):
        shown = " ".join(text.split())[:KEPT_CHARS]
        what = f"no whole JSON: {shown}" if shown else "empty"
        raise BrokenReply(f"the body of the reply is {what}", may_pass=True)
    return _without_surrogates(value)


def _without_surrogates(found: object) -> object:
    """Return `found` with halves of surrogate pairs replaced: no file could hold them."""
    if isinstance(found, str):
        return found if found.isascii() else found.translate(SURROGATES)
    if isinstance(found, list):
        return [_without_surrogates(item) for item in found]
    if isinstance(found, dict):
        return {name.translate(SURROGATES): _without_surrogates(value) for name, value in found.items()}
    return found
