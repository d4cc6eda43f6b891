import pytest

from benchmarks.scale_out.simulation import Options, simulated

SMALL = Options(rows=120_000, shard_rows=1000, workers=20, rate=2.0, mtbf_h=2.0, seed=3)


def test_every_shard_is_done_though_workers_die_and_few_are_done_twice() -> None:
    made = simulated(SMALL)
    assert made["done"] == made["shards"] == 120
    assert made["deaths"] > 5 and made["done twice"] == 0
    assert simulated(SMALL) == made


@pytest.mark.parametrize("workers", [1, 7, 200])
def test_without_failures_the_time_is_that_of_the_most_loaded_worker(workers: int) -> None:
    options = Options(rows=50_000, shard_rows=1000, workers=workers, rate=2.0, spread=0.0, mtbf_h=0.0, start_s=0.0)
    made = simulated(options)
    assert made["done"] == 50 and made["hours"] * 3600 == pytest.approx(500 * -(-50 // workers))
