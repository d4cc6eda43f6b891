import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError, JudgeError, StoreError
from engines.protocol import Choice, Request
from engines.scripted import ScriptedEngine
from judges.cluster import __main__ as cluster
from judges.cluster.answer_sets import read_answer_sets, take_census
from judges.cluster.clusters import Clustering
from records import read_rows
from records.files import BadRows
from records.shapes import read_pairs
from tests.fences import plain


class FirstWords(ScriptedEngine):
    """Calls two answers the same where they begin with the same word."""

    def choose(self, requests: Sequence[Request], choices: Sequence[str], done: Any = ()) -> Any:
        for index, request in enumerate(requests):
            if index in done:
                continue
            self.asked.append(request)
            content = plain(request.messages[0]["content"])
            first, second = (content.split(f"<answer_{n}>\n")[1].split()[0] for n in (1, 2))
            same = 0.9 if first == second else 0.2
            yield Choice(index, (math.log(same), math.log(1 - same)))


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FirstWords:
    """Every command asks this engine and works in an empty folder."""
    found = FirstWords()
    monkeypatch.setattr("judges.cluster.equivalences.choice.open_engine", lambda options: found)
    monkeypatch.chdir(tmp_path)
    return found


def run(*arguments: str) -> None:
    cluster.main(parse(cluster.Config, [*arguments], "prog"))


def exact(*arguments: str) -> None:
    run(*arguments, "--equivalence", "exact", "--out", "out.jsonl")


def by_judge(*arguments: str) -> None:
    run(*arguments, "--equivalence", "judge", "--out", "out.jsonl")


def write(path: str, *rows: dict[str, object]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def answers(prompt: str, *texts: str) -> list[dict[str, object]]:
    return [{"prompt": prompt, "response": text, "model": f"m{n}"} for n, text in enumerate(texts)]


def clusterings(path: str = "out.jsonl") -> list[Clustering]:
    return list(read_rows(Path(path), Clustering))


MANY = [
    *answers("pair", "yes", "Yes!", "no"),
    *answers("agree", "one", "One.", "ONE"),
    *answers("spread", "a1", "b2", "c3", "d4"),
    *answers("few", "alone", " "),
    *answers("none", "", "\n"),
]


def test_every_prompt_has_a_row_and_the_counts_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    write("a.jsonl", *MANY)
    exact("a.jsonl", "--json")
    table = json.loads(capsys.readouterr().out)
    assert (
        table["prompts"]
        == 5
        == sum(table[name] for name in ("pairs", "all agree", "under gamma", "too few", "unscored", "failed"))
    )
    assert [table[name] for name in ("pairs", "all agree", "under gamma", "too few")] == [1, 1, 1, 2]
    assert table["n_answers"] == len(MANY) and table["n_unusable"] == 3
    assert table["mean confidence"] == pytest.approx((2 / 3 + 1 + 1 / 4) / 3)
    assert table["histogram"] == [0, 0, 1, 0, 0, 0, 1, 0, 0, 1]
    rows = clusterings()
    assert [row.prompt for row in rows] == ["pair", "agree", "spread", "few", "none"]
    assert all(sum(row.sizes or []) + row.n_unusable == row.n_answers for row in rows)
    assert [row.outcome for row in rows] == ["pair", "all agree", "under gamma", "too few", "too few"]


def test_the_pairs_are_read_like_any_others(capsys: pytest.CaptureFixture[str]) -> None:
    write("a.jsonl", *MANY)
    exact("a.jsonl")
    [pair] = read_pairs("out.pairs.jsonl", BadRows(strict=True))
    assert pair.prompt == [{"role": "user", "content": "pair"}]
    assert pair.chosen[0]["content"] in ("yes", "Yes!") and pair.rejected[0]["content"] == "no"
    assert pair.confidence == pytest.approx(2 / 3)
    evidence = (pair.evidence or [{}])[0]
    assert evidence["sizes"] == [2, 1] and evidence["equivalence"] == "normalised text, equal"
    printed = capsys.readouterr().out
    assert "| prompts " in printed and "0.3: 1" in printed and "out.pairs.jsonl" in printed


def test_the_order_of_the_rows_changes_only_the_order_of_the_prompts() -> None:
    write("grouped.jsonl", *MANY)
    write("mixed.jsonl", *MANY[::-1])
    exact("grouped.jsonl")
    grouped, pairs = clusterings(), Path("out.pairs.jsonl").read_bytes()
    exact("mixed.jsonl")
    assert sorted(clusterings(), key=lambda row: row.prompt_id) == sorted(grouped, key=lambda row: row.prompt_id)
    assert Path("out.pairs.jsonl").read_bytes() == pairs


def test_prompts_come_in_the_order_of_their_last_rows_wherever_the_others_stand() -> None:
    one, two = answers("one", "a", "b"), answers("two", "a", "b")
    write("a.jsonl", two[0], one[0], one[1], two[1])
    found = list(read_answer_sets("a.jsonl", take_census("a.jsonl", BadRows())))
    assert [(found_set.prompt, found_set.texts) for found_set in found] == [("one", ["a", "b"]), ("two", ["a", "b"])]


def test_equal_answers_count_one_by_one_but_a_row_with_its_id_counts_once() -> None:
    same = {"prompt": "Q", "response": "A", "model": "m"}
    write("a.jsonl", same, same, {**same, "response": "B"})
    exact("a.jsonl")
    assert clusterings()[0].sizes == [2, 1]
    judged = {"prompt_id": "p", "prompt": "Q", "response_id": "r1", "response": "A", "score": None}
    again = {**judged, "score": 3.0}  # a failed judgment that was tried again
    other = {**judged, "response_id": "r2", "response": "B", "score": 1.0}
    write("a.jsonl", judged, other, again)
    exact("a.jsonl")
    [row] = clusterings()
    assert row.sizes == [1, 1] and row.clusters is not None and row.clusters[0][0].score == 3.0


def test_prompts_that_share_an_id_but_not_their_text_are_two() -> None:
    rows = [{"prompt_id": "0", "prompt": f"Q{n % 2}", "response": f"A{n}"} for n in range(4)]
    write("a.jsonl", *rows)
    exact("a.jsonl")
    assert [(row.prompt, row.n_answers) for row in clusterings()] == [("Q0", 2), ("Q1", 2)]


def judged(*texts_and_scores: tuple[str, float | None], judge: str = "j") -> list[dict[str, object]]:
    return [
        {"prompt": "Q", "prompt_id": "p", "response_id": f"r{n}", "response": text, "score": score, "judge": judge}
        for n, (text, score) in enumerate(texts_and_scores)
    ]


def test_scores_in_the_file_choose_and_are_those_of_the_pair() -> None:
    write("a.jsonl", *judged(("yes", 2.0), ("Yes.", 4.0), ("the yes", 3.0), ("no", 5.0)))
    exact("a.jsonl")
    [pair] = read_pairs("out.pairs.jsonl", BadRows(strict=True))
    assert pair.chosen[0]["content"] == "Yes." and (pair.chosen_score, pair.rejected_score) == (4.0, 5.0)
    assert pair.judge == "j" and pair.margin == -1.0


def test_scores_may_stand_in_a_file_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    rows = judged(("A", 2.0), ("a.", 4.0), ("B", 5.0))
    write("judgments.jsonl", *rows)
    write("a.jsonl", *({k: v for k, v in row.items() if k not in ("score", "judge")} for row in rows))
    exact("a.jsonl", "--json")
    assert json.loads(capsys.readouterr().out)["choose"] == "central"
    exact("a.jsonl", "--rewards", "judgments.jsonl", "--json")
    assert json.loads(capsys.readouterr().out)["choose"] == "reward"
    [pair] = read_pairs("out.pairs.jsonl", BadRows(strict=True))
    assert pair.chosen[0]["content"] == "a."
    write("judgments.jsonl", *rows[:1])
    with pytest.raises(JudgeError, match="judgments.jsonl: only 1 of 3 answers have a score, under --min-coverage 0.9"):
        exact("a.jsonl", "--rewards", "judgments.jsonl")
    assert Path("out.jsonl").exists()
    exact("a.jsonl", "--rewards", "judgments.jsonl", "--min-coverage", "0.3")


@pytest.mark.parametrize(
    ("rows", "flags", "message"),
    [
        (MANY, ["--choose", "reward"], "no answer has a 'score'; give --rewards"),
        (MANY, ["--rewards", "a.jsonl"], "no row has a 'score'; --rewards takes"),
        ([*judged(("A", 1.0)), *judged(("A", 1.0), ("B", 2.0), judge="k")], [], "scores are from 2 judges"),
        (MANY, ["--gamma", "1.5"], "--gamma must be in"),
        (MANY, ["--limit", "0"], "--limit must be at least 1"),
        (MANY, ["--min-coverage", "2"], "--min-coverage must be in"),
        ([{"prompt": "Q"}], [], "no usable row: its only row is bad: "),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    rows: list[dict[str, object]], flags: list[str], message: str
) -> None:
    write("a.jsonl", *rows)
    with pytest.raises(InputError, match=message):
        exact("a.jsonl", *flags)
    assert not Path("out.jsonl").exists()


def test_two_judges_are_no_obstacle_where_their_scores_are_not_used() -> None:
    write("a.jsonl", *judged(("A", 1.0)), *judged(("A", 1.0), ("B", 2.0), judge="k"))
    exact("a.jsonl", "--choose", "central")
    assert len(clusterings()) == 1


def test_a_limit_takes_the_first_prompts_with_all_their_answers() -> None:
    write("a.jsonl", *MANY[::-1])
    exact("a.jsonl", "--limit", "3")
    assert Counter(row.prompt for row in clusterings()) == Counter(["none", "few", "spread"])
    assert sum(row.n_answers for row in clusterings()) == 8


def test_the_judge_is_asked_each_ordered_pair_of_distinct_texts_once(engine: FirstWords) -> None:
    write("a.jsonl", *answers("Q", "x one", "x two", "x two", "y"), *answers("R", "same", "same"))
    by_judge("a.jsonl")
    assert len(engine.asked) == 6  # three texts; the second prompt has only one
    assert [row.sizes for row in clusterings()] == [[3, 1], [2]]


def test_another_gamma_or_order_of_the_rows_asks_the_judge_nothing(engine: FirstWords) -> None:
    rows = answers("Q", "x one", "x two", "y")
    write("a.jsonl", *rows)
    by_judge("a.jsonl")
    write("a.jsonl", *rows[::-1])
    by_judge("a.jsonl", "--gamma", "0.9")
    assert len(engine.asked) == 6 and clusterings()[0].outcome == "under gamma"
    by_judge("a.jsonl", "--fresh")
    assert len(engine.asked) == 12
    assert all(Path(f"out{kind}.jsonl.1").exists() for kind in ("", ".pairs", ".relations"))


def test_an_interrupted_command_goes_on_and_ends_like_an_undisturbed_one(
    engine: FirstWords, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row for n in range(5) for row in answers(f"Q{n}", f"x {n}", "x two", "y")]
    write("a.jsonl", *rows)
    by_judge("a.jsonl")
    expected = Path("out.jsonl").read_bytes(), Path("out.pairs.jsonl").read_bytes()
    undisturbed = len(engine.asked)
    for path in Path().glob("out*"):
        path.unlink()

    class Stopped(FirstWords):
        def choose(self, *arguments: Any) -> Any:
            for number, choice in enumerate(super().choose(*arguments)):
                if number == 14:  # in the middle of the third prompt
                    raise KeyboardInterrupt
                yield choice

    monkeypatch.setattr("judges.cluster.equivalences.choice.open_engine", lambda options: Stopped())
    with pytest.raises(KeyboardInterrupt):
        by_judge("a.jsonl")
    assert not Path("out.jsonl").exists() and len(Path("out.relations.jsonl").read_bytes().splitlines()) == 3
    monkeypatch.setattr("judges.cluster.equivalences.choice.open_engine", lambda options: engine)
    engine.asked.clear()
    by_judge("a.jsonl")
    assert len(engine.asked) == undisturbed - 14  # two prompts of six calls were stored, and two calls of the third
    assert (Path("out.jsonl").read_bytes(), Path("out.pairs.jsonl").read_bytes()) == expected
    assert not list(Path().glob(".out*"))


def test_a_prompt_whose_call_failed_has_no_clusters_and_is_tried_again(
    engine: FirstWords, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(FirstWords):
        def choose(self, *arguments: Any) -> Any:
            for choice in super().choose(*arguments):
                yield Choice(choice.index, (), error="no route") if choice.index == 1 else choice

    write("a.jsonl", *answers("Q", "x one", "x two", "y"), *answers("R", "x", "y"))
    monkeypatch.setattr("judges.cluster.equivalences.choice.open_engine", lambda options: Failing())
    with pytest.raises(JudgeError, match="only 1 of 2 prompts could be clustered"):
        by_judge("a.jsonl", "--json")
    printed = capsys.readouterr()
    assert json.loads(printed.out)["failed"] == 1 and "no route" in printed.err
    assert clusterings()[0].clusters is None and clusterings()[0].error == "no route"
    monkeypatch.setattr("judges.cluster.equivalences.choice.open_engine", lambda options: engine)
    by_judge("a.jsonl")
    assert len(engine.asked) == 1 and clusterings()[0].sizes == [2, 1]


def test_a_dry_run_says_what_would_be_compared_and_asks_nothing(
    engine: FirstWords, capsys: pytest.CaptureFixture[str]
) -> None:
    write("a.jsonl", *MANY)
    by_judge("a.jsonl", "--dry-run")
    assert "14 answers to 5 prompts" in capsys.readouterr().out  # 3 + 3 + 4 + 2 + 2
    assert engine.asked == [] and not list(Path().glob("out*"))


def test_results_have_a_name_that_the_settings_fix_and_share_their_relations() -> None:
    write("a.jsonl", *MANY)
    for gamma in ("0.5", "0.7", "0.5"):
        run("a.jsonl", "--equivalence", "exact", "--gamma", gamma)
    names = sorted(path.name for path in Path("runs/clusters").iterdir())
    assert len([name for name in names if name.endswith(".relations.jsonl")]) == 1
    assert len([name for name in names if name.endswith(".pairs.jsonl")]) == 2
    assert all(name.startswith("a-") for name in names) and len(names) == 5


def test_without_a_file_the_newest_run_is_clustered() -> None:
    with pytest.raises(InputError, match="no FILE, and no run"):
        run("--equivalence", "exact")
    folder = Path("runs/mine/iter2")
    folder.mkdir(parents=True)
    (folder.parent / "run.toml").touch()
    write(str(folder / "judgments.jsonl"), *judged(("A", 1.0), ("a", 2.0), ("B", 3.0)))
    exact()
    assert clusterings()[0].sizes == [2, 1]


def test_a_disk_that_is_full_is_named_with_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write("a.jsonl", *MANY)
    Path("out.jsonl").mkdir()  # a folder where the file should go
    with pytest.raises(StoreError, match="out.jsonl"):
        exact("a.jsonl")


def test_outputs_of_several_models_one_after_another(data: Path) -> None:
    import gzip

    rows = []
    for name in ("text_davinci_003", "zephyr-7b-beta", "gpt4_1106_preview"):
        rows += json.loads(gzip.decompress((data / f"alpaca_eval/model_outputs/{name}.json.gz").read_bytes()))[:50]
    Path("all.json").write_text(json.dumps(rows))
    exact("all.json")
    found = clusterings()
    assert len(found) == 50 and all(row.n_answers == 3 and row.clusters for row in found)
    assert {member.ids[0] for row in found for group in row.clusters or [] for member in group}
