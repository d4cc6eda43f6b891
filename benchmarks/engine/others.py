"""The sides that share this process with the engine: plain `generate`, and lm-eval's loglikelihood."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from benchmarks.engine.prompts import SCORES, TEMPERATURE, TOP_P
from engines.chat.template import rendered
from engines.protocol import Request

BATCH = 16


class Plain:
    """The model as transformers and lm-eval run it, on batches of 16."""

    def __init__(self, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = tokenizer
        self._lm_eval: Any = HFLM(pretrained=self.model, tokenizer=tokenizer, batch_size=BATCH, add_bos_token=False)

    @torch.inference_mode()
    def text(self, asked: list[Request], new_tokens: int) -> int:
        """Sample with `generate` on left-padded batches and return the number of tokens written."""
        n_tokens = 0
        for batch in self._batches(asked):
            output = self.model.generate(
                **batch, max_new_tokens=new_tokens, do_sample=True, temperature=TEMPERATURE, top_p=TOP_P, top_k=0
            )
            new = output[:, batch["input_ids"].shape[1] :]
            n_tokens += int((new != self.tokenizer.eos_token_id).sum())
        return n_tokens

    @torch.inference_mode()
    def logprobs(self, asked: list[Request]) -> int:
        """Read the next token's log-probabilities with `generate` and return the number of prompts read."""
        n_read = 0
        for batch in self._batches(asked):
            output = self.model.generate(
                **batch, max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True
            )
            n_read += len(output.logits[0].log_softmax(-1))
        return n_read

    def loglikelihoods(self, asked: list[Request]) -> list[list[float]]:
        """Return the log-probability of each score after each prompt, as lm-eval's loglikelihood gives it."""
        pairs = [(self._prompt(request), score) for request in asked for score in SCORES]
        instances = [Instance("loglikelihood", {}, pair, place) for place, pair in enumerate(pairs)]
        found = [logprob for logprob, _ in self._lm_eval.loglikelihood(instances, disable_tqdm=True)]
        return [found[start : start + len(SCORES)] for start in range(0, len(found), len(SCORES))]

    def _prompt(self, request: Request) -> str:
        return rendered(self.tokenizer, request.messages, opening=True) + request.prefill

    def _batches(self, asked: list[Request]) -> Iterator[Any]:
        self.tokenizer.padding_side = "left"
        for start in range(0, len(asked), BATCH):
            texts = list(map(self._prompt, asked[start : start + BATCH]))
            yield self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
