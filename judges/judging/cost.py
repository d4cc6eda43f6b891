"""The cost of verdicts, and a budget at which a command stops so that it can resume later."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from console.errors import InputError, JudgeError
from console.progress import say
from console.ranges import MOST, Range, check_ranges
from console.reading import read_toml
from judges.options import CostOptions
from records.rows import Usage

PRICES = Path(__file__).parent / "prices.toml"
FIRST_ROWS = 1
"""The number of rows to ask before the cost of one is known."""


class Price(NamedTuple):
    """US dollars per million tokens."""

    read: float
    written: float
    cached: float | None = None
    """For tokens of a prompt that the server had read before. None is the price of the others."""


class Budget:
    """Adds up the cost of rows and returns how many more may be asked. A panel's judges share it one after another."""

    def __init__(self, options: CostOptions, price: Price | None) -> None:
        """Raise InputError if a limit is not above 0, or is in dollars and the model has no price."""
        check_ranges(options)
        self.usage = Usage()
        self.dollars: float | None = 0.0
        """The dollars spent. None if a model has no price."""
        self._options = options
        self._warned = False
        self.next_judge(price)

    def next_judge(self, price: Price | None) -> None:
        """Count the rows that follow at the price of another model."""
        if self._options.max_cost is not None and price is None:
            raise InputError("--max-cost: this model has no price; give one with --prices, or use --max-tokens-total")
        self._price = price
        if price is None:
            self.dollars = None
        self._n_rows = 0  # of this judge: another one's rows do not say what one costs
        self._own = Usage()

    @property
    def limited(self) -> bool:
        """Return whether there is any limit."""
        return self._options.max_cost is not None or self._options.max_tokens_total is not None

    def add(self, usage: Usage) -> None:
        """Count one row. A server's count below 0 in a stored row is taken for 0."""
        if min(usage.n_prompt_tokens, usage.n_cached_tokens, usage.n_tokens) < 0:
            counts = {name: max(0, getattr(usage, name)) for name in ("n_prompt_tokens", "n_cached_tokens", "n_tokens")}
            usage = msgspec.structs.replace(usage, **counts)
        self.usage, self._own = self.usage + usage, self._own + usage
        self._n_rows += 1
        # a call that succeeded reads one token at least
        if self.limited and not self._warned and usage.n_calls > usage.n_failed and _tokens(usage) == 0:
            self._warned = True
            say("the server does not count its tokens: --max-cost and --max-tokens-total cannot be kept")
        if self.dollars is not None and self._price is not None:
            self.dollars += cost_of(usage, self._price)

    def carry(self, usage: Usage) -> None:
        """Count what earlier runs spent on an incomplete row, which is no measure of the cost of a row."""
        self.usage = self.usage + usage  # in the sum, but not in `_own`, whose mean is the cost of one row
        if self.dollars is not None and self._price is not None:
            self.dollars += cost_of(usage, self._price)

    def n_allowed(self, n_wanted: int) -> int:
        """Return how many of `n_wanted` more rows fit in the budget at the mean cost so far."""
        n_fit: float = n_wanted
        for limit, spent, of in (
            (self._options.max_cost, self.dollars, lambda usage: cost_of(usage, self._price or Price(0, 0))),
            (self._options.max_tokens_total, _tokens(self.usage), _tokens),
        ):
            if limit is None or spent is None:
                continue
            if spent >= limit:
                return 0
            mean = of(self._own) / self._n_rows if self._n_rows else 0.0
            # With no row yet only the first ones are asked. Rows that cost nothing set no limit.
            n_fit = min(n_fit, (limit - spent) / mean if mean > 0 else FIRST_ROWS if not self._n_rows else n_fit)
        return int(n_fit)

    def stop(self, n_done: int, n: int) -> JudgeError:
        """Return the error that ends a command whose budget is spent."""
        return JudgeError(f"stopped at the budget: {n_done} of {n} done, {self}; all is kept; raise it to go on")

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the cost as plain data."""
        usage = self.usage
        return {
            "n_calls": usage.n_calls,
            "n_failed": usage.n_failed,
            "n_prompt_tokens": usage.n_prompt_tokens,
            "n_cached_tokens": usage.n_cached_tokens,
            "n_tokens": usage.n_tokens,
            "seconds": usage.seconds,
            "dollars": self.dollars,
        }

    def __str__(self) -> str:
        usage = self.usage
        failed = f" ({usage.n_failed} failed)" if usage.n_failed else ""
        dollars = "" if self.dollars is None else f", ${self.dollars:.4f}"
        cached = f" ({usage.n_cached_tokens:,} from the cache)" if usage.n_cached_tokens else ""
        tokens = f"{usage.n_prompt_tokens:,} tokens read{cached} and {usage.n_tokens:,} written"
        return f"{usage.n_calls:,} calls{failed}, {tokens}, {usage.seconds:,.1f} s of calls{dollars}"


def _tokens(usage: Usage) -> int:
    return usage.n_prompt_tokens + usage.n_tokens


def cost_of(usage: Usage, price: Price) -> float:
    """Return US dollars."""
    n_new = usage.n_prompt_tokens - usage.n_cached_tokens
    cached = price.read if price.cached is None else price.cached
    return (n_new * price.read + usage.n_cached_tokens * cached + usage.n_tokens * price.written) / 1e6


def price_of(model: str, path: Path | None) -> Price | None:
    """Return the price of `model`, or None. Raises InputError if the table is broken."""
    where = path or PRICES
    table = read_toml(where)
    for name, price in table.items():
        if not (isinstance(price, list) and len(price) in (2, 3) and all(map(_is_price, price))):
            raise InputError(
                f'{where}: write "{name}" = [read, written], in US dollars for a million tokens: two finite numbers, '
                "at least 0, and if you like a third for tokens that are read from the server's cache"
            )
    return Price(*map(float, table[model])) if model in table else None


def _is_price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value in Range(0, MOST)
