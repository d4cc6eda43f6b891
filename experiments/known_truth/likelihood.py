"""How likely a model finds given answers, many at a time."""

from collections.abc import Sequence
from pathlib import Path

from records import Response, messages_of

BATCH_ROWS = 64


def answer_logprobs(model_folder: Path, answers: Sequence[Response]) -> list[float]:
    """Return the natural log-probability of each answer with its end, given its prompt."""
    import torch

    from trainer.training import load_policy

    model, tokenizer = load_policy(model_folder)
    model.eval()
    found: list[float] = []
    for start in range(0, len(answers), BATCH_ROWS):
        rows = answers[start : start + BATCH_ROWS]
        heads = [messages_of(row.prompt) for row in rows]
        chats = [[*head, {"role": "assistant", "content": row.response}] for head, row in zip(heads, rows, strict=True)]
        n_head = [len(tokenizer.apply_chat_template(h, add_generation_prompt=True, return_dict=False)) for h in heads]
        rendered = tokenizer.apply_chat_template(chats, tokenize=False)
        batch = tokenizer(rendered, padding=True, padding_side="right", add_special_tokens=False, return_tensors="pt")
        tokens_BT, mask_BT = batch["input_ids"], batch["attention_mask"].bool()
        with torch.inference_mode():
            logprobs_BTV = model(input_ids=tokens_BT, attention_mask=mask_BT).logits[:, :-1].log_softmax(-1)
        taken_BT = logprobs_BTV.gather(2, tokens_BT[:, 1:, None]).squeeze(2)
        answer_BT = mask_BT[:, 1:] & (torch.arange(1, tokens_BT.shape[1]) >= torch.tensor(n_head)[:, None])
        found += taken_BT.masked_fill(~answer_BT, 0.0).sum(1).tolist()
    return found
