from pathlib import Path

import pytest

from console.errors import InputError
from judges.judging.cost import Budget, Price, cost_of, price_of
from judges.options import CostOptions
from records import Usage

ONE = Usage(n_calls=1, n_prompt_tokens=1000, n_tokens=100, seconds=0.5)
PRICE = Price(1.0, 10.0)  # $0.002 for ONE


def test_the_price_of_tokens_is_for_a_million() -> None:
    assert cost_of(ONE, PRICE) == pytest.approx(0.002)


def test_costs_add_up_with_failed_calls_and_seconds() -> None:
    budget = Budget(CostOptions(), PRICE)
    budget.add(ONE)
    budget.add(Usage(n_calls=5, n_failed=5, seconds=2))
    assert budget.as_dict() == {
        "n_calls": 6, "n_failed": 5, "n_prompt_tokens": 1000, "n_cached_tokens": 0, "n_tokens": 100, "seconds": 2.5,
        "dollars": pytest.approx(0.002),
    }  # fmt: skip
    assert "6 calls (5 failed)" in str(budget) and "$0.0020" in str(budget)


def test_tokens_from_the_cache_have_a_price_of_their_own_and_are_told() -> None:
    usage = Usage(n_calls=1, n_prompt_tokens=1000, n_cached_tokens=800, n_tokens=100)
    assert cost_of(usage, Price(1.0, 10.0, 0.1)) == pytest.approx((200 * 1.0 + 800 * 0.1 + 100 * 10.0) / 1e6)
    assert cost_of(usage, PRICE) == cost_of(ONE, PRICE)
    budget = Budget(CostOptions(), Price(1.0, 10.0, 0.1))
    budget.add(usage)
    budget.add(usage)
    assert "2,000 tokens read (1,600 from the cache) and 200 written" in str(budget)
    assert "cache" not in str(Budget(CostOptions(), PRICE))
    assert usage + usage - usage == usage


@pytest.mark.parametrize("options", [CostOptions(max_cost=0.01), CostOptions(max_tokens_total=5500)])
def test_a_budget_lets_as_many_rows_through_as_fit(options: CostOptions) -> None:
    budget = Budget(options, PRICE)
    n = 0
    while allowed := budget.n_allowed(100 - n):
        for _ in range(min(allowed, 1)):
            budget.add(ONE)
            n += 1
    assert n == 5


@pytest.mark.parametrize("counts", [(-1000, 0), (0, -100), (-1000, -100), (0, 0)])
@pytest.mark.parametrize("options", [CostOptions(max_cost=0.01), CostOptions(max_tokens_total=5500)])
def test_counts_below_none_are_none_and_never_keep_a_command_spinning(
    options: CostOptions, counts: tuple[int, int]
) -> None:
    budget = Budget(options, PRICE)
    budget.add(Usage(n_calls=1, n_prompt_tokens=counts[0], n_tokens=counts[1]))
    assert budget.n_allowed(100) > 0 and budget.usage.n_prompt_tokens == max(0, counts[0])
    budget.add(ONE)
    assert 0 <= budget.n_allowed(100) <= 100
    assert Budget(options, Price(-1.0, -1.0)).n_allowed(100) >= 0


def test_the_first_rows_are_few_because_their_cost_is_not_known() -> None:
    assert Budget(CostOptions(max_cost=1), PRICE).n_allowed(1000) == 1
    assert Budget(CostOptions(), None).n_allowed(1000) == 1000


def test_dollars_without_a_price_are_refused_and_not_guessed() -> None:
    with pytest.raises(InputError, match="no price"):
        Budget(CostOptions(max_cost=1), None)
    assert Budget(CostOptions(max_tokens_total=5), None).dollars is None


@pytest.mark.parametrize("options", [CostOptions(max_cost=0), CostOptions(max_tokens_total=-1)])
def test_a_budget_of_nothing_is_refused(options: CostOptions) -> None:
    with pytest.raises(InputError, match="must be (above 0|at least 1), not"):
        Budget(options, PRICE)


def test_a_users_table_replaces_the_packaged_one(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('"mine" = [1, 2.5]\n')
    assert price_of("mine", path) == Price(1.0, 2.5) and price_of("gpt-4o", path) is None
    path.write_text('"mine" = [1, 2.5, 0.1]\n')
    assert price_of("mine", path) == Price(1.0, 2.5, 0.1)
    assert price_of("gpt-4o-mini", None) is not None and price_of("smollm2", None) is None


@pytest.mark.parametrize(
    "text",
    [
        "mine = 3",
        "mine = [1]",
        "mine = [1, 2, 3, 4]",
        "mine = [1, 2, nan]",
        'mine = ["a", 2]',
        "mine =",
        "mine = [nan, 1]",
        "mine = [1, inf]",
        "mine = [-1, 1]",
        "mine = [true, 1]",
        f"mine = [1{'0' * 400}, 1]",
        f"mine = [{'9' * 5000}, 1]",
        "mine = [1e400, 1]",
        "a = []\nmine = [1, 2]",
    ],
)
def test_a_broken_table_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(InputError, match=r"p\.toml"):
        price_of("mine", tmp_path / "p.toml")


def test_a_server_that_does_not_count_its_tokens_is_named_where_there_is_a_limit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for limit, n_said in ((None, 0), (50, 1)):
        budget = Budget(CostOptions(max_tokens_total=limit), None)
        budget.add(Usage(n_calls=2, n_failed=2))
        assert "cannot be kept" not in capsys.readouterr().err
        for _ in range(3):
            budget.add(Usage(n_calls=2, n_failed=1))
        assert capsys.readouterr().err.count("the server does not count its tokens") == n_said
