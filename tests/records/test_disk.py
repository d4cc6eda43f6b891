import resource
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from records import Prompt, Store
from records.disk import DiskDict, DiskSet


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 9))))
def test_a_disk_dict_is_a_dict(items: list[tuple[str, int]]) -> None:
    found: DiskDict[int] = DiskDict()
    expected: dict[str, int] = {}
    for key, value in items:
        found[key] = expected[key] = value
        assert key in found and found[key] == value
    assert list(found.items()) == list(expected.items()) and len(found) == len(expected)
    assert isinstance(found, Mapping) and found.get("absent key") is None


def test_a_key_is_new_once() -> None:
    found = DiskSet()
    assert found.add("a") and not found.add("a") and found.add("b")
    assert found == {"a", "b"}


def test_a_store_gives_the_last_row_of_each_id(tmp_path: Path) -> None:
    with Store(tmp_path / "a.jsonl", Prompt) as store:
        for number in range(4):
            store.append(Prompt(id=f"p{number % 2}", prompt=f"{number} é"))
    with Store(tmp_path / "a.jsonl", Prompt) as store:
        store.append(Prompt(id="p0", prompt="4"))
        assert [row.prompt for row in store.latest()] == ["3 é", "4"]
        assert [row.prompt for row in store.chosen(["p0", "none", "p1"])] == ["4", "3 é"]
        assert store.ids == {"p0", "p1"} and len(store.ids) == 2


def test_ten_times_as_many_ids_take_the_same_memory() -> None:
    def peak_kib(n: int) -> int:
        found = DiskSet()
        for number in range(n):
            found.add(f"{number:064x}")
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    few = peak_kib(20_000)
    assert peak_kib(200_000) - few < 6 * 1024  # 200,000 such strings in a Python set are 40 MiB
