"""People's votes on comparisons: whom they are on, the win rates, the agreement, and what is missing."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from console.command import parse
from console.errors import InputError
from evals.human.__main__ import main
from evals.human.figures import n_more
from evals.human.options import Config
from judges.intervals.bootstrap import Estimate
from records import Comparison, Response, Vote
from records.rows import Usage, Winner, text_id

COMPARISONS = "eval/comparisons.jsonl"


def comparison(number: int, winner: Winner | None, judge: str = "j1") -> Comparison:
    return Comparison(
        id=f"{judge}-{number}",
        prompt_id=f"p{number}",
        prompt=f"Ask {number}",
        response_a=f"old {number}",
        response_b=f"new {number}",
        model_a="iter0",
        model_b="iter3",
        winner=winner,
        first_order=winner,
        second_order=winner,
        flipped=False,
        preference_b={"a": 0.0, "b": 1.0, "tie": 0.5, None: None}[winner],
        replies=[],
        error=None if winner else "no verdict",
        rubric="pairwise",
        judge=judge,
        usage=Usage(),
    )


def vote(
    number: int, winner: Winner | None, voter: str = "anna", at: int = 0, ids: tuple[str, str] | None = None
) -> Vote:
    a, b = ids or (text_id(f"old {number}"), text_id(f"new {number}"))
    time = f"2026-01-01T00:00:{at:02}"
    return Vote(at=time, voter=voter, prompt_id=f"p{number}", a_id=a, b_id=b, winner=winner, blind=True)


def write(path: Path, rows: list[msgspec.Struct]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/demo")
    folder.mkdir(parents=True)
    (folder / "run.toml").write_text("[settings]\nseed = 0\n")
    return folder


def human(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, dict[str, float]]]:
    main(parse(Config, ("demo", "--json", *words), "python -m evals.human"))
    found: list[dict[str, dict[str, float]]] = json.loads(capsys.readouterr().out)["matches"]
    return found


def test_a_win_rate_is_the_mean_of_the_votes_of_each_prompt(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(run / COMPARISONS, [comparison(n, "b") for n in range(6)])
    votes = [vote(0, "b"), vote(1, "b"), vote(2, "a"), vote(3, "tie"), vote(0, "tie", "ben"), vote(2, "a", "ben")]
    write(run / "votes.jsonl", [*votes])
    [found] = human(capsys)
    assert (found["n_prompts"], found["n_votes"]) == (4, 6)
    assert found["by_people"]["value"] == pytest.approx((0.75 + 1 + 0 + 0.5) / 4)
    assert found["by_judge"]["value"] == 1 and found["by_judge_all"]["n"] == 6
    assert json.loads((run / "evals" / "human" / "human.json").read_text())["matches"] == [found]


def test_a_vote_is_found_by_the_ids_of_responses_too_and_in_either_order(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(run / COMPARISONS, [comparison(0, "b")])
    texts = {"r-old": "old 0", "r-new": "new 0"}
    rows = [Response(id=i, prompt_id="p0", prompt="Ask 0", response=text, model="m") for i, text in texts.items()]
    write(run / "eval" / "iter0.jsonl", [*rows])
    write(run / "votes.jsonl", [vote(0, "a", ids=("r-new", "r-old"))])
    [found] = human(capsys)
    assert found["by_people"]["value"] == 1, "a of the vote is b of the comparison"


def test_the_latest_vote_counts_and_one_that_was_taken_back_does_not(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(run / COMPARISONS, [comparison(n, "b") for n in range(2)])
    rows = [vote(0, "a", at=1), vote(0, "b", at=2), vote(1, "b", at=3), vote(1, None, at=4)]
    write(run / "votes.jsonl", [*rows])
    [found] = human(capsys)
    assert found["n_prompts"] == 1 and found["by_people"]["value"] == 1


def test_the_judge_s_rate_is_corrected_for_its_errors_on_the_voted_part(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # On 20 voted pairs people say b ten times and a ten times. The judge says b on 9 of the first and 3 of the others.
    # So its sensitivity is 0.9 and its specificity 0.7. It says b on 60 of all 100 pairs.
    judged: list[Winner] = [*"bbbbbbbbba", *"bbbaaaaaaa", *("b" * 48), *("a" * 32)]
    write(run / COMPARISONS, [comparison(n, winner) for n, winner in enumerate(judged)])
    write(run / "votes.jsonl", [vote(n, "b" if n < 10 else "a") for n in range(20)])
    [found] = human(capsys)
    assert found["by_people"]["value"] == 0.5 and found["by_judge"]["value"] == 0.6
    assert found["by_judge_all"]["value"] == 0.6
    assert found["corrected"]["value"] == pytest.approx((0.6 + 0.7 - 1) / (0.9 + 0.7 - 1))
    agreement = {measure["name"]: measure["value"] for measure in found["with_judge"]}  # type: ignore[union-attr, index]
    assert agreement["accuracy, a tie is half"] == pytest.approx(0.8)
    assert agreement["Cohen's kappa"] == pytest.approx(0.6)


def test_each_judge_of_the_same_answers_has_a_row(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(run / COMPARISONS, [comparison(0, "b")])
    other = [comparison(0, "a", "j2"), comparison(1, None, "j2")]
    write(run / "evals" / "head_to_head" / "comparisons.jsonl", [*other])
    write(run / "votes.jsonl", [vote(0, "b")])
    rates = {found["judge"]: found["by_judge"]["value"] for found in human(capsys)}
    assert rates == {"j1": 1, "j2": 0}


def test_votes_on_no_comparison_are_counted(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(run / COMPARISONS, [comparison(0, "b")])
    write(run / "votes.jsonl", [vote(0, "b"), vote(7, "b"), vote(8, "a")])
    main(parse(Config, ("demo",), "python -m evals.human"))
    told = capsys.readouterr()
    assert "2 of 3 pairs that were voted on are in no comparison here: prompts p7, p8" in told.err
    assert "iter3 over iter0" in told.out and max(map(len, told.out.splitlines())) <= 80


def test_a_second_voter_on_one_match_of_two_is_no_trouble(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = msgspec.structs.replace(comparison(1, "a"), model_a="iter1")
    write(run / COMPARISONS, [comparison(0, "b"), other])
    write(run / "votes.jsonl", [vote(0, "b"), vote(1, "b"), vote(1, "a", "ben")])
    main(parse(Config, ("demo",), "python -m evals.human"))
    told = capsys.readouterr().out
    assert "iter3 over iter0" in told and "iter3 over iter1" in told and "pairwise agreement" in told


def test_a_line_that_is_no_vote_is_left_out_or_refused_if_strict(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(run / COMPARISONS, [comparison(0, "b")])
    path = write(run / "votes.jsonl", [vote(0, "b")])
    path.write_bytes(path.read_bytes() + b'{"at": "torn')
    [found] = human(capsys)
    assert found["n_votes"] == 1
    with pytest.raises(InputError, match="votes.jsonl:2"):
        human(capsys, "--strict")


def test_one_person_s_votes_can_be_taken_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(run / COMPARISONS, [comparison(0, "b")])
    write(run / "votes.jsonl", [vote(0, "b"), vote(0, "a", "ben")])
    [found] = human(capsys, "--voter", "ben")
    assert found["by_people"]["value"] == 0 and found["n_votes"] == 1


@pytest.mark.parametrize(
    ("values", "low", "high", "expected"),
    [
        ([1.0] * 15 + [0.0] * 5, 0.55, 0.95, 0),
        ([1.0] * 6 + [0.0] * 4, 0.3, 0.9, 93),  # (1.96 x 0.5164 / 0.1)^2 is 102.4
        ([1.0, 0.0], 0.0, 1.0, None),
    ],
)
def test_the_votes_that_are_missing_are_told(
    values: list[float], low: float, high: float, expected: int | None
) -> None:
    rate = Estimate("rate", float(np.mean(values)), low, high, len(values))
    assert n_more(np.array(values), rate) == expected


@pytest.mark.parametrize(
    ("files", "words", "reason"),
    [
        ({}, (), "nobody has voted yet"),
        ({"votes.jsonl": [vote(0, "b")]}, (), "no comparisons in it"),
        (
            {"votes.jsonl": [vote(9, "b")], "eval/comparisons.jsonl": [comparison(0, "b")]},
            (),
            "no vote is on a comparison",
        ),
        (
            {"votes.jsonl": [vote(0, "b")], "eval/comparisons.jsonl": [comparison(0, "b")]},
            ("--voter", "ben"),
            "no vote by ben in it",
        ),
    ],
)
def test_what_is_missing_is_named(
    run: Path, files: dict[str, list[msgspec.Struct]], words: tuple[str, ...], reason: str
) -> None:
    for name, rows in files.items():
        write(run / name, rows)
    with pytest.raises(InputError, match=reason):
        main(parse(Config, ("demo", *words), "python -m evals.human"))
