from pathlib import Path

import pytest

from console.errors import InputError, TrainingError
from records import Pair
from trainer.dpo.options import DPOOptions
from trainer.dpo.train import train_dpo
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft
from trainer.training.outcome import check_free, claim_folder, report_of

CHATS = [
    [{"role": "user", "content": f"say {n}"}, {"role": "assistant", "content": f"point {n} " * 3}] for n in range(6)
]


def likelihood(folder: Path, chat: list[dict[str, str]]) -> float:
    """Return the log-likelihood of the last turn of `chat`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    head = tokenizer.apply_chat_template(chat[:-1], add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template(chat, return_dict=False)
    with torch.inference_mode():
        logprobs = model(torch.tensor([whole])).logits[0].log_softmax(-1)
    return sum(float(logprobs[i - 1, whole[i]]) for i in range(len(head), len(whole)))


def test_sft_makes_its_answers_likelier_and_repeats_itself(tiny_model: Path, tmp_path: Path) -> None:
    options = SFTOptions(learning_rate=3e-3, epochs=4, batch_size=2)
    trained = train_sft(tiny_model, tmp_path / "a", CHATS, options, seed=0)
    assert trained.n_examples == 6 and trained.n_steps == 12 and report_of(tmp_path / "a") == trained
    assert likelihood(tmp_path / "a", CHATS[0]) > likelihood(tiny_model, CHATS[0]) + 1
    train_sft(tiny_model, tmp_path / "b", CHATS, options, seed=0)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_sft_learns_the_answer_and_not_the_prompt(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    from trainer.sft.train import train_sft as train

    seen: list[torch.Tensor] = []
    from trl import SFTTrainer

    step = SFTTrainer.compute_loss

    def spy(self, model, inputs, *args, **kwargs):  # type: ignore[no-untyped-def]
        seen.append(inputs["labels"][0][inputs["labels"][0] != -100])
        return step(self, model, inputs, *args, **kwargs)

    SFTTrainer.compute_loss = spy
    try:
        train(tiny_model, tmp_path / "a", CHATS[:1], SFTOptions(batch_size=1, micro_batch_size=1), seed=0)
    finally:
        SFTTrainer.compute_loss = step
    learnt = AutoTokenizer.from_pretrained(tiny_model).decode(seen[0])
    assert "point 0" in learnt and "say 0" not in learnt and "<|im_end|>" in learnt


def test_dpo_widens_the_gap_between_chosen_and_rejected(tiny_model: Path, tmp_path: Path) -> None:
    pairs = [
        Pair(
            prompt=chat[:1],
            chosen=chat[1:],
            rejected=[{"role": "assistant", "content": "nothing at all"}],
            prompt_id=str(n),
        )
        for n, chat in enumerate(CHATS)
    ]
    train_dpo(tiny_model, tmp_path / "a", pairs, DPOOptions(learning_rate=1e-3, epochs=3, batch_size=2), seed=0)

    def gap(folder: Path) -> float:
        pair = pairs[0]
        return likelihood(folder, [*pair.prompt, *pair.chosen]) - likelihood(folder, [*pair.prompt, *pair.rejected])

    assert gap(tmp_path / "a") > gap(tiny_model) + 1


def test_a_special_token_in_a_pair_does_not_become_one(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    from trainer.training.fit import safe_example

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    chat = safe_example(tokenizer, [{"role": "user", "content": "a<|im_end|>b"}])["prompt"]
    assert tokenizer.apply_chat_template(chat, return_dict=False).count(tokenizer.eos_token_id) == 1


def test_a_loss_that_is_not_a_number_stops_and_saves_nothing(tiny_model: Path, tmp_path: Path) -> None:
    options = SFTOptions(learning_rate=1e30, epochs=8, batch_size=2, warmup_share=0)
    with pytest.raises(TrainingError, match="try a lower learning rate"):
        train_sft(tiny_model, tmp_path / "a", CHATS, options, seed=0)
    assert not (tmp_path / "a").exists()


def test_nothing_to_train_on_is_an_error(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no conversation"):
        train_sft(tiny_model, tmp_path / "a", [], SFTOptions(), seed=0)
    with pytest.raises(TrainingError, match="no preference pair"):
        train_dpo(tiny_model, tmp_path / "a", [], DPOOptions(), seed=0)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (DPOOptions(learning_rate=0), "learning_rate"),
        (DPOOptions(epochs=0), "epochs"),
        (DPOOptions(batch_size=3), r"--batch-size \(3\) must be a multiple of --micro-batch-size"),
        (DPOOptions(beta=0), "beta"),
    ],
)
def test_settings_out_of_range_are_refused_before_a_model_is_loaded(
    options: DPOOptions, name: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=name):
        train_dpo(tmp_path / "no model", tmp_path / "a", [], options, seed=0)


def test_a_model_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match="give another --out, or --fresh"):
        claim_folder(tmp_path / "model", fresh=False)
    claim_folder(tmp_path / "model", fresh=True)
    assert (tmp_path / "model.1").is_dir() and not (tmp_path / "model").exists()


@pytest.mark.parametrize("inside", ["", "iter1/model"])
def test_fresh_does_not_set_aside_what_the_training_reads(inside: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    read = out / inside
    read.mkdir(parents=True)
    for check in (check_free, claim_folder):
        with pytest.raises(InputError, match=f"--fresh would set aside {read}, which the training reads"):
            check(out, ["smollm2", None, read], fresh=True)
    assert read.is_dir()
    claim_folder(out, ["smollm2", None, tmp_path], fresh=True)
    assert (tmp_path / "out.1").is_dir()


def test_the_only_step_of_a_training_is_no_warm_up(tiny_model: Path, tmp_path: Path) -> None:
    trained = train_sft(tiny_model, tmp_path / "a", CHATS[:2], SFTOptions(learning_rate=3e-3), seed=0)
    assert trained.n_steps == 1
    assert likelihood(tmp_path / "a", CHATS[0]) > likelihood(tiny_model, CHATS[0])


def test_examples_of_which_nothing_is_left_are_counted(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = [{"role": "user", "content": "say it " * 200}, {"role": "assistant", "content": "it"}]
    options = SFTOptions(max_length=64, batch_size=2)
    assert train_sft(tiny_model, tmp_path / "a", [*CHATS, long], options, seed=0).n_examples == 6
    said = capsys.readouterr().err
    assert "1 of 7 examples left out: their prompts alone fill max_length (64 tokens)" in said
