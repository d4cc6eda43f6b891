"""An output holds the rows of one judge and one input: others are refused, told apart or left out and said."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from engines.scripted import ScriptedEngine
from judges.best_of import __main__ as best_of
from judges.calibrate import __main__ as calibrate
from judges.cluster import __main__ as cluster
from judges.compare import __main__ as compare
from judges.rescore import __main__ as rescore
from judges.score import __main__ as score
from records import Judgment, read_rows
from tests.judges.opened import patch_open_engine
from trainer.pairs import __main__ as pairs


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedEngine:
    """A judge that gives an answer the digit it has."""

    def reply(request: Any) -> str:
        text = request.messages[0]["content"]
        return "Better: A" if "Better:" in text else f"Score: {text.split('worth ')[1][0]}"

    found = ScriptedEngine(reply=reply)
    patch_open_engine(monkeypatch, lambda _: found)
    monkeypatch.chdir(tmp_path)
    return found


def write(path: str, *worths: int, model: str = "m", key: str = "output") -> str:
    Path(path).parent.mkdir(exist_ok=True)
    rows = [{"id": f"r{n}", "prompt": "Q", key: f"worth {worth}", "generator": model} for n, worth in enumerate(worths)]
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


TEXT = ("--read", "text", "--samples", "1")


def run(module: Any, *flags: str) -> None:
    module.main(parse(module.Config, [*flags, *(() if module is pairs else TEXT)], "prog"))


def files(folder: str) -> list[Path]:
    return sorted(path for path in Path("runs", folder).iterdir() if path.suffix == ".jsonl")


@pytest.mark.parametrize("names", [("Qwen2.5-7B.jsonl", "Qwen2.5-72B.jsonl"), ("a/answers.jsonl", "b/answers.jsonl")])
def test_two_inputs_have_two_outputs(names: tuple[str, str]) -> None:
    for name, worths in zip(names, ((1, 2), (3, 4)), strict=True):
        run(score, write(name, *worths))
    found = [[row.score for row in read_rows(path, Judgment)] for path in files("scores")]
    assert sorted(found) == [[1, 2], [3, 4]]


@pytest.mark.parametrize("names", [("Qwen2.5-7B.jsonl", "Qwen2.5-72B.jsonl"), ("a/answers.jsonl", "b/answers.jsonl")])
def test_two_inputs_have_two_outputs_in_every_command_that_names_them(names: tuple[str, str]) -> None:
    for name in names:
        write(name, 1, 2)
        run(compare, name, write("other.jsonl", 3, model="n"))
        run(best_of, name)
        cluster.main(parse(cluster.Config, [name, "--equivalence", "exact", "--gamma", "0"], "prog"))
    assert [len(files(folder)) for folder in ("comparisons", "best_of")] == [2, 4]  # with judgments beside
    assert len([path for path in files("clusters") if path.name.endswith(".pairs.jsonl")]) == 2


def test_two_labelled_sets_of_one_name_have_two_folders() -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        row = {"prompt": "Q", "output_1": "worth 1", "output_2": "worth 2", "label": 2}
        Path(folder, "set.jsonl").write_text(json.dumps(row) + "\n")
        run(calibrate, f"{folder}/set.jsonl", "--resamples", "10")
    assert len(list(Path("runs/audit").iterdir())) == 2


def test_a_file_of_another_judge_or_another_input_is_refused(engine: ScriptedEngine) -> None:
    run(score, write("a.jsonl", 1, 2), "--out", "j.jsonl")
    before = Path("j.jsonl").read_bytes()
    with pytest.raises(InputError, match="holds rows of another judge"):
        run(score, "a.jsonl", "--out", "j.jsonl", "--max-new-tokens", "9")
    with pytest.raises(InputError, match="holds 2 rows of another input than b.jsonl"):
        run(score, write("b.jsonl", 3, 4), "--out", "j.jsonl")
    assert Path("j.jsonl").read_bytes() == before and len(engine.asked) == 2
    run(score, "b.jsonl", "--out", "j.jsonl", "--fresh")
    assert [row.score for row in read_rows(Path("j.jsonl"), Judgment)] == [3, 4]
    assert Path("j.jsonl.1").read_bytes() == before


def test_comparisons_of_another_judge_or_other_files_are_refused() -> None:
    write("a.jsonl", 1, 2)
    write("b.jsonl", 3, 4, model="n")
    run(compare, "a.jsonl", "b.jsonl", "--out", "c.jsonl")
    with pytest.raises(InputError, match="holds rows of another judge"):
        run(compare, "a.jsonl", "b.jsonl", "--out", "c.jsonl", "--rubric", "pairwise_5")
    with pytest.raises(InputError, match="rows of another input than b.jsonl and a.jsonl"):
        run(compare, "b.jsonl", "a.jsonl", "--out", "c.jsonl")


def test_an_answer_that_was_edited_leaves_no_row_behind_for_pairs(
    engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    run(score, write("a.jsonl", 1, 3, 5), "--out", "j.jsonl")
    run(score, write("a.jsonl", 4, 3, 5), "--out", "j.jsonl")
    assert "1 row that a.jsonl no longer gives: moved to j.left_out.jsonl" in capsys.readouterr().err
    run(pairs, "j.jsonl", "--out", "pairs.jsonl")
    [pair] = [json.loads(line) for line in Path("pairs.jsonl").read_text().splitlines()]
    assert (pair["chosen_score"], pair["rejected_score"]) == (5, 3), "the old row of score 1 is not rejected"
    assert len(engine.asked) == 4
    run(score, write("a.jsonl", 1, 3, 5), "--out", "j.jsonl")
    assert len(engine.asked) == 4, "an answer that comes back is not paid for again"
    assert sorted(row.score or 0 for row in read_rows(Path("j.jsonl"), Judgment)) == [1, 3, 5]


@pytest.mark.parametrize("flags", [("--out", "o.jsonl"), ()])
@pytest.mark.parametrize("module", [score, best_of, compare])
def test_answers_whose_references_change_are_judged_again_and_their_rows_are_kept_beside(
    engine: ScriptedEngine, module: Any, flags: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    def judged(reference: str) -> None:
        write("a.jsonl", 1, 3)
        rows = [json.loads(line) | {"reference": reference} for line in Path("a.jsonl").read_text().splitlines()]
        Path("a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        run(module, "a.jsonl", *((write("b.jsonl", 2, 4, model="n"),) if module is compare else ()), *flags)

    judged("seven")
    n_asked = len(engine.asked)
    judged("eight")
    assert "2 rows on answers of a.jsonl" in (said := capsys.readouterr().err).replace(" and b.jsonl", "")
    assert "with other constraints or references than now" in said and "any more" not in said
    assert len(engine.asked) == 2 * n_asked
    judged("seven")
    assert len(engine.asked) == 2 * n_asked and "2 rows of this input again" in capsys.readouterr().err


def test_a_limit_leaves_the_other_rows_of_the_input_where_they_are(engine: ScriptedEngine) -> None:
    run(score, write("a.jsonl", 1, 3, 5), "--out", "j.jsonl")
    run(score, "a.jsonl", "--out", "j.jsonl", "--limit", "1")
    assert len(list(read_rows(Path("j.jsonl"), Judgment))) == 3 and len(engine.asked) == 3


def test_the_default_output_leaves_edited_answers_out_too() -> None:
    run(score, write("a.jsonl", 1))
    run(score, write("a.jsonl", 2))
    judged, aside = files("scores")
    assert [row.score for row in read_rows(judged, Judgment)] == [2] and aside.name.endswith(".left_out.jsonl")


def test_a_panels_rows_do_not_replace_a_judges(engine: ScriptedEngine) -> None:
    run(score, write("a.jsonl", 1, 2), "--out", "j.jsonl")
    with pytest.raises(InputError, match="something else than a panel's rows"):
        run(score, "a.jsonl", "--out", "j.jsonl", "--judge", "one", "--judge", "two")
    assert len(list(read_rows(Path("j.jsonl"), Judgment))) == 2 and len(engine.asked) == 2, "before anything is asked"


@pytest.mark.parametrize("command", [score, compare, best_of, cluster, rescore, pairs])
def test_an_output_that_is_the_input_itself_is_refused_and_not_touched(command: Any, engine: ScriptedEngine) -> None:
    run(score, write("a.jsonl", 1, 2), "--out", "j.jsonl")
    file = "a.jsonl" if command in (score, compare, best_of, cluster) else "j.jsonl"
    before = Path(file).read_bytes()
    flags = [file, *(["j.jsonl"] if command is compare else []), "--out", f"../{Path().resolve().name}/{file}"]
    with pytest.raises(InputError, match="is the input itself"):
        command.main(parse(command.Config, flags, "prog"))
    assert Path(file).read_bytes() == before and len(engine.asked) == 2


def test_an_output_of_another_kind_is_set_aside_and_the_same_again_is_not() -> None:
    run(score, write("a.jsonl", 1, 2), "--out", "j.jsonl")
    paid = Path("j.jsonl").read_bytes()
    for _ in range(2):
        run(best_of, "a.jsonl", "--out", "j.jsonl")
    assert Path("j.jsonl.1").read_bytes() == paid and not Path("j.jsonl.2").exists()
    for _ in range(2):
        flags = ["a.jsonl", "--equivalence", "exact", "--gamma", "0", "--out", "j.jsonl"]
        cluster.main(parse(cluster.Config, flags, "prog"))
    assert Path("j.jsonl.2").exists() and not Path("j.jsonl.3").exists()
