"""A server with the shapes of vLLM 0.32, whose numbers are those of a model that transformers runs here.

Sources: entrypoints/serve/tokenize/{protocol,serving}.py, entrypoints/openai/completion/{protocol,serving}.py,
entrypoints/serve/instrumentator/basic.py, sampling_params.py.
"""

from pathlib import Path
from threading import Lock
from typing import Any

from tests.openai_server import Body, Server, completion, token

MOST_IDS = 128


def refused(message: str, param: str | None = None, code: int = 400) -> tuple[int, Body]:
    kind = "NotFoundError" if code == 404 else "BadRequestError"
    return code, {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Vllm:
    """Answers at every path as vLLM does. Its attributes make it an older one, or a broken one."""

    def __init__(self, folder: Path, context: int = 2048) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.context = context
        self.version: str | None = "0.32.0"
        self.knows_ids = True
        """False: `logprob_token_ids` is ignored, as an older version does."""
        self.chat: Any = completion("Score: 4", logprobs=[token("Score", {}), token(":", {}), token("4", {"4": -0.1})])
        """The reply to a chat."""
        self.lock = Lock()

    def serve(self, server: Server) -> Server:
        """Answer at `server`."""
        server.get, server.answer_at = self.got, self.posted
        return server

    def got(self, path: str) -> tuple[int, Any]:
        if path == "/version" and self.version is not None:
            return 200, {"version": self.version}
        if path == "/v1/models":
            return 200, {"object": "list", "data": [{"id": "m", "object": "model", "root": "m", "owned_by": "vllm"}]}
        return 404, {"detail": "Not Found"}

    def posted(self, path: str, body: Body) -> Any:
        ways = {"/tokenize": self.tokenize, "/detokenize": self.detokenize, "/v1/completions": self.complete}
        if path == "/v1/chat/completions":
            return self.chat
        if path not in ways:
            return 404, {"detail": "Not Found"}
        if body["model"] != "m":
            return refused(f"The model `{body['model']}` does not exist. Valid aliases: m.", "model", 404)
        with self.lock:
            return ways[path](body)

    def tokenize(self, body: Body) -> tuple[int, Body]:
        if "messages" in body:
            kwargs = body.get("chat_template_kwargs") or {}
            opening = body.get("add_generation_prompt", True)
            text = self.tokenizer.apply_chat_template(
                body["messages"], tokenize=False, add_generation_prompt=opening, **kwargs
            )
        else:
            text = body["prompt"]
        tokens = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return 200, {"count": len(tokens), "max_model_len": self.context, "tokens": tokens, "token_strs": None}

    def detokenize(self, body: Body) -> tuple[int, Body]:
        return 200, {"prompt": self.tokenizer.decode(body["tokens"])}

    def complete(self, body: Body) -> tuple[int, Body]:
        ids = body.get("logprob_token_ids") if self.knows_ids else None
        if ids and len(ids) > MOST_IDS:
            what = f"Requested logprob_token_ids of length {len(ids)}, which is greater than max allowed: {MOST_IDS}"
            return refused(f"{what} (parameter=logprob_token_ids, value={len(ids)})", "logprob_token_ids")
        if len(body["prompt"]) + body["max_tokens"] > self.context:
            return refused(f"This model's maximum context length is {self.context} tokens.", "input_tokens")
        logprobs = self.logprobs(body["prompt"])
        drawn = max(range(len(logprobs)), key=logprobs.__getitem__)
        listed = [drawn, *(ids or sorted(range(len(logprobs)), key=logprobs.__getitem__)[-body["logprobs"] :])]
        tops = {f"token_id:{one}": max(logprobs[one], -9999.0) for one in listed}
        return self.completed(tops, drawn, len(body["prompt"]))

    def completed(self, tops: dict[str, Any], drawn: int, n_prompt: int) -> tuple[int, Body]:
        name = f"token_id:{drawn}"
        shown = {"text_offset": [0], "token_logprobs": [tops[name]], "tokens": [name], "top_logprobs": [tops]}
        choice = {"index": 0, "text": self.tokenizer.decode([drawn]), "logprobs": shown, "finish_reason": "length"}
        usage = {"prompt_tokens": n_prompt, "completion_tokens": 1, "total_tokens": n_prompt + 1}
        return 200, {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": [choice], "usage": usage}

    def logprobs(self, tokens: list[int]) -> list[float]:
        import torch

        with torch.inference_mode():
            logits = self.model(torch.tensor([tokens])).logits[0, -1].float()
        found: list[float] = torch.log_softmax(logits, -1).tolist()
        return found
