import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from console.errors import InputError
from engines.options import EngineOptions
from judges.tools.options import EvidenceOptions
from records import Message, Prompt
from tests.conftest import ROOT
from tests.tiny import save_tiny_model
from trainer.dpo.options import DPOOptions
from trainer.early_stop.options import EarlyStopOptions
from trainer.loop.plan.estimate import StageEstimate, estimate, table_of, too_large
from trainer.loop.plan.probe import Speeds, probe, rows_at_once
from trainer.loop.plan.work import TURN_TOKENS, Work, by_characters, judge_tokens
from trainer.loop.plan.workload import loop_work
from trainer.loop.recipe import (
    CandidateOptions,
    Config,
    EstimateOptions,
    EvalOptions,
    Hardware,
    RoundJudgeOptions,
    RoundOptions,
)
from trainer.sft.options import SFTOptions
from trainer.training.memory.size import (
    Load,
    MemorySettings,
    inference_bytes,
    model_size,
    training_bytes,
    training_flops,
)
from trainer.training.options import LoraOptions

PROMPTS = [Prompt(id=str(n), prompt="x" * 40) for n in range(64)]
CHATS: list[list[Message]] = [
    [{"role": "user", "content": "x" * 40}, {"role": "assistant", "content": "y" * 80}] for _ in range(20)
]
BFLOAT16 = MemorySettings("bfloat16")
CONFIG = Config(
    iterations=2,
    engine=EngineOptions(batch_size=4),
    candidates=CandidateOptions(prompts=6, n=3, max_new_tokens=50),
    sft=SFTOptions(batch_size=8, epochs=2),
    dpo=DPOOptions(batch_size=4, micro_batch_size=2),
    eval=EvalOptions(prompts=5),
)
LLAMA_2_70B = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8192, "intermediate_size": 28672,
    "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 32000,
    "max_position_embeddings": 4096, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    (folder / "config.json").write_text(json.dumps(LLAMA_2_70B))
    return folder


def stage(works: list[Work], name: str) -> Work:
    return next(work for work in works if work.stage.startswith(name))


def test_the_stages_by_hand() -> None:
    works = loop_work(CONFIG, PROMPTS, CHATS)
    n_prompt = 40 // 4 + TURN_TOKENS
    sft, answers, judging, dpo = (stage(works, name) for name in ("iter1 SFT", "iter2 cand", "iter2 judg", "iter2 DPO"))
    assert (sft.n_trained, sft.n_steps) == (20 * (10 + 20 + 2 * TURN_TOKENS) * 2, 6)
    assert (answers.n_calls, answers.n_read, answers.n_written) == (18, 18 * n_prompt, 18 * 50)
    assert judging.n_calls == 18 and judging.n_written == 0 and judging.n_read > 18 * (n_prompt + 50)
    assert (dpo.n_trained, dpo.n_reference, dpo.n_steps) == (6 * 2 * (n_prompt + 50), 6 * 2 * (n_prompt + 50), 2)
    assert dpo.n_widest == 2 * 2 * (n_prompt + 50) and answers.n_widest == 4 * (n_prompt + 50)
    assert stage(works, "held-out answers").n_calls == 3 * 5 and stage(works, "held-out comp").n_calls == 2 * 2 * 5


def test_held_out_prompts_are_not_learnt_and_are_read_at_each_validation() -> None:
    chats: list[list[Message]] = [
        [{"role": "user", "content": f"{n:040}"}, {"role": "assistant", "content": "y" * 80}] for n in range(20)
    ]
    config = replace(
        CONFIG,
        sft=replace(CONFIG.sft, validation_share=0.2),
        dpo=replace(CONFIG.dpo, validation_share=0.2, validation_steps=3, epochs=2),
    )
    works = loop_work(config, PROMPTS, chats)
    sft, dpo = stage(works, "iter1 SFT"), stage(works, "iter2 DPO, at most 5 pairs")
    n_chat, n_pair = 10 + 20 + 2 * TURN_TOKENS, 2 * (40 // 4 + TURN_TOKENS + 50)
    assert (sft.n_trained, sft.n_steps) == (16 * n_chat * 2, 4)
    assert sft.n_reference == 4 * n_chat * 4, "a tenth of 4 steps is one, so after each"
    assert (dpo.n_trained, dpo.n_steps) == (5 * n_pair * 2, 4)
    assert dpo.n_reference == (6 + 1 * 2) * n_pair, "the reference reads all, the policy one after 3 and 4 steps"
    perfect = loop_work(replace(config, round=RoundOptions(learn="perfect")), PROMPTS, chats)
    assert stage(perfect, "iter2 SFT, at most 15 answers").n_trained == 15 * n_pair // 2 * 2
    assert stage(loop_work(config, PROMPTS, []), "iter1 SFT").n_steps == 0
    with pytest.raises(InputError, match="1 prompt: too few to hold some out; give more, or --sft.validation-share 0"):
        loop_work(config, PROMPTS, CHATS)


def test_a_judge_that_writes_costs_tokens_and_a_long_chat_is_cut() -> None:
    text = replace(CONFIG, judge=RoundJudgeOptions(read="text", samples=3, max_new_tokens=100))
    judging = stage(loop_work(text, PROMPTS, CHATS), "iter2 judg")
    assert (judging.n_calls, judging.n_written) == (54, 5400)
    short = replace(CONFIG, sft=SFTOptions(max_length=10, batch_size=8))
    assert stage(loop_work(short, PROMPTS, CHATS), "iter1").n_trained == 200


def test_new_prompts_and_labels_are_stages_where_they_are_asked_for() -> None:
    names = [work.stage for work in loop_work(CONFIG, PROMPTS, CHATS)]
    assert not any("new prompts" in name or name == "judge accuracy" for name in names) and "KL to iter0" in names
    more = replace(
        CONFIG,
        new_prompts=replace(CONFIG.new_prompts, source="parent"),
        monitors=replace(CONFIG.monitors, labelled=Path("labels.jsonl"), kl=False),
    )
    names = [work.stage for work in loop_work(more, PROMPTS, CHATS)]
    assert "iter2 new prompts, at least" in names and "judge accuracy" in names and "KL to iter0" not in names


def test_several_held_out_answers_are_each_scored_by_the_iteration_and_the_first_by_the_frozen_judge() -> None:
    several = replace(CONFIG, eval=EvalOptions(prompts=5, n=3, compare=False))
    works = loop_work(several, PROMPTS, CHATS)
    assert stage(works, "held-out answers").n_calls == 3 * 5 * 3
    assert stage(works, "held-out scores").n_calls == 3 * 5 * 3 + 2 * 5  # iter1 is the frozen judge
    assert stage(works, "KL").n_read == 2 * 2 * 5 * 3 * (40 // 4 + TURN_TOKENS + 50)
    assert not any("comparisons" in work.stage for work in works)


def test_what_a_round_may_do_besides_is_counted_by_hand() -> None:
    text = RoundJudgeOptions(read="text", samples=3, max_new_tokens=100)
    variant = replace(
        CONFIG,
        judge=text,
        round=RoundOptions(rejected="iter0", meta=True),
        evidence=EvidenceOptions(corpus=Path("corpus"), k=2, max_claims=4),
        early_stop=EarlyStopOptions(every_n_steps=1, n_prompts=3),
    )
    works = loop_work(variant, PROMPTS, CHATS)
    n_prompt = 40 // 4 + TURN_TOKENS
    assert stage(works, "iter2 answers of iter0").n_calls == stage(works, "iter2 candidates").n_calls == 18
    assert stage(works, "iter2 judging").n_calls == 2 * 18 * 3
    evidence = stage(works, "iter2 evidence")
    assert evidence.n_calls == 36 * (3 + 1 + 4 * 2 * 3) and evidence.n_written == 36 * 400
    assert evidence.n_read == 36 * ((3 + 1) * (n_prompt + 50) + 4 * 2 * 3 * 400)
    meta = stage(works, "iter2 meta-judging")
    assert (meta.n_calls, meta.n_written) == (6 * 2 * 3, 6 * 2 * 3 * 100)
    assert meta.n_read > 36 * (n_prompt + 50 + 2 * 100)
    answers, compared = stage(works, "iter2 checkpoints' answers"), stage(works, "iter2 checkpoints compared")
    assert (answers.n_calls, compared.n_calls) == (3 * 3, 2 * 2 * 3)  # two steps, so two checkpoints and the end


def test_consistency_reads_each_answer_with_three_models_and_positive_only_trains_on_answers() -> None:
    n_answer = 40 // 4 + TURN_TOKENS + 50
    cream = loop_work(replace(CONFIG, round=RoundOptions(consistency="set")), PROMPTS, CHATS)
    assert stage(cream, "iter2 consistency").n_read == 3 * 18 * n_answer
    positive = loop_work(replace(CONFIG, round=RoundOptions(learn="perfect")), PROMPTS, CHATS)
    assert stage(positive, "iter2 SFT").n_trained == 18 * n_answer * 2
    assert not any("DPO" in work.stage for work in positive)


@pytest.mark.slow
def test_characters_tell_the_tokens_of_english_within_a_third(data: Path) -> None:
    from transformers import AutoTokenizer

    from engines.models import packaged_model
    from judges.rubrics.rubric import load_rubric

    tokenizer = AutoTokenizer.from_pretrained(packaged_model())

    def counted(text: str) -> int:
        return len(tokenizer(text)["input_ids"])

    prompts = [
        json.loads(line)["prompt"] for line in (data / "koala" / "koala_test_set.jsonl").read_text().splitlines()
    ]
    assert sum(map(by_characters, prompts)) == pytest.approx(sum(map(counted, prompts)), rel=0.33)
    rubric = load_rubric("additive")
    assert judge_tokens(rubric, "text") == pytest.approx(judge_tokens(rubric, "text", counted), rel=0.33)


def test_llama_2_70b_has_its_published_size_without_its_weights(llama: Path) -> None:
    size = model_size(llama)
    # A layer: q and o 2 * 8192^2, k and v 2 * 8192 * 1024, MLP 3 * 8192 * 28672, two norms 2 * 8192. Besides: two
    # embeddings 2 * 32000 * 8192 and a norm.
    layer = 2 * 8192**2 + 2 * 8192 * 1024 + 3 * 8192 * 28672 + 2 * 8192
    assert size.n_parameters == 80 * layer + 2 * 32000 * 8192 + 8192 == 68_976_648_192
    assert (size.n_layers, size.hidden, size.vocabulary, size.key_value_width) == (80, 8192, 32000, 1024)


def test_70b_in_training_by_hand(llama: Path) -> None:
    size = model_size(llama)
    n = size.n_parameters
    states = 16 * n / 32  # 34.5 GB on each of 32
    gathered = 4 * n / 80
    activations = 2048 * (2 * 80 * 8192 + 34 * 8192 + 8 * 32000)
    assert training_bytes(size, Load(2048, 32)).total == pytest.approx(states + gathered + activations)
    assert training_bytes(size, Load(2048, 32)).total / 1e9 == pytest.approx(41.7, abs=0.1)
    generating = training_bytes(size, Load(2048, 32, generates=True)).total
    assert generating == pytest.approx(states + 2 * n + activations)
    # 16-bit weights of 138 GB and, for 1,000 tokens, 2 * 80 * 1024 * 2 bytes of keys and values each
    assert inference_bytes(size, 1000, 8) == pytest.approx((2 * n + 1000 * 327_680) / 8)


def test_adapters_in_training_by_hand() -> None:
    size = model_size(ROOT / "recipes" / "llama_3_1_8b.json")
    lora = LoraOptions(r=16)
    # a layer: q and o 4096 + 4096 each, k and v 4096 + 1024, three of the MLP 4096 + 14336
    assert size.n_features == 32 * (2 * 8192 + 2 * 5120 + 3 * 18432)
    adapters = 16 * 16 * size.n_features  # 41.9 million parameters of 16 bytes
    activations = 1000 * (2 * 32 * 4096 + 34 * 4096 + 8 * 128256)
    for gpus, gathered in ((1, 0), (4, 4 * size.n_parameters / 32)):
        wide = training_bytes(size, Load(1000, gpus), BFLOAT16, lora).total
        assert wide == pytest.approx((2 * size.n_parameters + adapters) / gpus + gathered + activations)
    narrow = training_bytes(size, Load(1000), BFLOAT16, replace(lora, quantize="4bit")).total
    kept = 2 * 128256 * 4096 + 65 * 4096  # both embeddings and the norms
    assert size.n_linear == size.n_parameters - kept
    assert narrow == pytest.approx(2 * kept + 0.515875 * size.n_linear + adapters + activations)
    assert training_flops(size, 100, lora) == pytest.approx(2 / 3 * training_flops(size, 100))


def test_70b_in_gpu_hours_by_hand(llama: Path) -> None:
    hardware = Hardware(gpus=32)
    works = [
        Work("train", "train", n_trained=10_000_000, n_reference=5_000_000, n_widest=2048),
        Work("write", "answer", n_calls=1, n_read=1_000_000, n_written=1_000_000, n_widest=8192),
    ]
    train, write = estimate(works, size=model_size(llama), hardware=hardware)
    assert train.gpu_hours is not None and write.gpu_hours is not None and train.seconds is not None
    # (6 N D + 2 N D') / (989e12 * 0.4) s: 4.14e18 + 0.69e18 FLOPs
    assert train.gpu_hours == pytest.approx(4.8284e18 / (989e12 * 0.4) / 3600, rel=1e-4)
    assert train.seconds == pytest.approx(train.gpu_hours * 3600 / 32)
    assert write.gpu_hours == pytest.approx(2 * 68_976_648_192 * 2e6 / (989e12 * 0.1) / 3600)


def test_a_stage_that_does_not_fit_is_named(llama: Path) -> None:
    works = loop_work(CONFIG, PROMPTS, CHATS)
    size = model_size(llama)
    few, many = EstimateOptions(gpus=8), EstimateOptions(gpus=32)
    said = too_large(estimate(works, size=size, hardware=few), few)
    assert (said is not None and "GiB on each of 8 GPUs of 80" in said and "SFT" in said) or "DPO" in said
    assert too_large(estimate(works, size=size, hardware=many), many) is None
    with pytest.raises(InputError, match="gpus must be above 0"):
        estimate(works, size=size, hardware=Hardware())


def test_tied_weights_count_once(tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert model_size(tiny_model).n_parameters == model.num_parameters()


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "no such thing"}')
    with pytest.raises(InputError, match="cannot read the model.s size"):
        model_size(tmp_path)


def test_a_config_that_is_not_there_is_no_matter_of_the_hub(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"llama.json: no such file; a recipe names files from the project's folder"):
        model_size(tmp_path / "llama.json")


def test_tokens_alone_have_no_time_and_the_last_row_adds_up() -> None:
    found = estimate(loop_work(CONFIG, PROMPTS, CHATS))
    assert all(one.seconds is None and one.bytes is None for one in found)
    rows = table_of(found)
    assert "minutes" not in rows[0] and rows[-1]["stage"] == "all"
    assert rows[-1]["calls"] == sum(one.n_calls for one in found)
    timed = table_of(estimate(loop_work(CONFIG, PROMPTS, CHATS), speeds=Speeds(1, 100, 10, 0.5, 50, 0.1, 1e9, 2e9)))
    assert timed[-1]["GiB"] == pytest.approx(2e9 / 2**30) and "GPU-hours" not in timed[-1]


def test_money_is_the_hours_of_the_gpus_at_their_price() -> None:
    stage = StageEstimate("judging", 1, 2, 3, 0, seconds=60.0, bytes=1.0, gpu_hours=4.0)
    counted = StageEstimate("another judge", 1, 2, 3, 0)
    assert [row["dollars"] for row in table_of([stage, counted], gpu_price=2.5)] == [10.0, None, 10.0]
    assert "dollars" not in table_of([stage])[0]


def test_speeds_make_seconds_by_hand() -> None:
    speeds = Speeds(10, 100, 20, 0.5, 50, 2, 1e9, None)
    works = [
        Work("a", "answer", n_calls=4, n_read=200, n_written=100),
        Work("j", "judge", n_calls=8, n_read=9999),
        Work("t", "train", n_trained=500, n_reference=300, n_steps=3),
    ]
    answer, judge, train = estimate(works, speeds=speeds)
    assert answer.seconds == 10 + 2 + 5 and judge.seconds == 4 and train.seconds == 10 + 10 + 3 + 6
    assert train.bytes is None
    slow = estimate(works, speeds=replace(speeds, judge_call_s=None))[1]
    assert slow.seconds == pytest.approx(99.99)


@pytest.mark.parametrize(("n_answers", "batch_size", "n_rows"), [(8, 32, 32), (8, 4, 4), (384, 32, 64), (384, 4, 64)])
def test_the_measurement_decodes_as_many_batches_side_by_side_as_the_run(
    n_answers: int, batch_size: int, n_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from engines.local.decoding import n_side_by_side

    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert rows_at_once(n_answers, batch_size, "cpu") == n_rows
    assert n_side_by_side(n_rows, "cpu") == n_side_by_side(n_answers, "cpu")
    assert rows_at_once(n_answers, batch_size, "cuda") == min(batch_size, 32)


def test_the_estimate_of_a_real_run_is_of_its_order(tmp_path: Path) -> None:
    from engines.answers import answer_into
    from engines.local.transformers_engine import TransformersEngine
    from engines.protocol import Sampling
    from records import Response, Store
    from trainer.training.fit import load_policy

    folder = save_tiny_model(tmp_path / "model")
    config = replace(CONFIG, engine=EngineOptions(batch_size=16), candidates=CandidateOptions(8, 4, 48))
    speeds = probe(folder, config, PROMPTS, CHATS)
    assert speeds.judge_call_s and speeds.inference_bytes and speeds.training_bytes
    works = loop_work(config, PROMPTS, CHATS)
    guessed = {one.stage: one.seconds for one in estimate(works, speeds=speeds)}

    started = time.monotonic()
    engine = TransformersEngine.load(folder, "m", 16)
    with Store(tmp_path / "answers.jsonl", Response) as store:
        answers = answer_into(store, engine, PROMPTS[:8], Sampling(48, 1.0, 1.0), n=4)
    written = sum(row.n_tokens or 0 for row in answers) / stage(works, "iter2 cand").n_written
    took_s = time.monotonic() - started
    assert took_s / 6 < (guessed["iter2 candidates"] or 0) * max(written, 0.2) < took_s * 6

    started = time.monotonic()
    model, tokenizer = load_policy(folder)
    for chat in CHATS:
        ids = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=False)
        model(input_ids=ids, labels=ids).loss.backward()
    took_s = time.monotonic() - started
    assert took_s / 6 < (guessed["iter1 SFT"] or 0) < took_s * 12  # two epochs, and an optimiser
