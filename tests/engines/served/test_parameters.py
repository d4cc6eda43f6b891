import json
from typing import Any

import pytest

from engines.served.parameters import Parameters, RefusedError, refusal_of

SENT = ("temperature", "top_p", "seed", "stop", "max_tokens", "logprobs", "top_logprobs", "response_format")


def openai(message: str, param: str | None = None, code: str | None = None, kind: str = "invalid_request_error") -> Any:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


REFUSALS: list[tuple[int, Any, tuple[str, ...]]] = [
    (
        400,
        openai(
            "Unsupported parameter: 'temperature' is not supported with this model.",
            "temperature",
            "unsupported_parameter",
        ),
        ("temperature",),
    ),
    (
        400,
        openai(
            "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is "
            "supported.",
            "temperature",
            "unsupported_value",
        ),
        ("temperature",),
    ),
    (400, openai("Unsupported parameter: 'top_p' is not supported with this model."), ("top_p",)),
    (400, openai("Unsupported parameter: 'stop' is not supported with this model.", "stop"), ("stop",)),
    (
        400,
        openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.",
            "max_tokens",
            "unsupported_parameter",
        ),
        ("max_tokens",),
    ),
    (
        400,
        openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        ),
        ("max_tokens",),
    ),
    (400, openai("logprobs are not supported with reasoning models.", "logprobs"), ("logprobs",)),
    (403, openai("You are not allowed to request logprobs from this model"), ("logprobs",)),
    (400, openai("Unrecognized request argument supplied: seed"), ("seed",)),
    (400, openai("Unrecognized request arguments supplied: seed, top_p"), ("top_p", "seed")),
    (400, openai("Unknown parameter: 'seed'.", "seed", "unknown_parameter"), ("seed",)),
    (400, openai("Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."),
     ("response_format",)),
    (400, openai("`temperature` and `top_p` cannot both be specified for this model. Please use only one."),
     ("top_p",)),
    (400, {"type": "error", "error": {"type": "invalid_request_error",
                                      "message": "`temperature` is deprecated for this model."}},
     ("temperature",)),
    (400, openai("`temperature` may only be set to 1 when thinking is enabled."), ("temperature",)),
    (400, openai("invalid temperature: only 1 is allowed for this model"), ("temperature",)),
    (422, {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"],
                                                      "msg": "Extra inputs are not permitted", "input": 0}]},
           "type": "invalid_request_error", "param": None, "code": None}, ("seed",)),
    (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"},
                      {"type": "extra_forbidden", "loc": ["body", "top_p"], "msg": "Extra inputs are not permitted"}]},
     ("top_p", "seed")),
    (400, [{"error": {"code": 400, "message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
                      "status": "INVALID_ARGUMENT"}}], ("seed",)),
    (400, {"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs "
                                         "are not permitted', 'input': 3}]", "type": "BadRequestError", "code": 400},
     ("seed",)),
    (400, openai("Extra inputs are not permitted, field: 'seed', value: 0"), ("seed",)),
    (400, openai("Argument not supported on this model: stop"), ("stop",)),
    (400, openai("Model grok-4 does not support parameter topP."), ("top_p",)),
    (400, openai("property 'logprobs' is unsupported"), ("logprobs",)),
    (400, {"message": "Malformed input request: #: extraneous key [seed] is not permitted, please reformat your input"},
     ("seed",)),
    (400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {"provider_name": "OpenAI", "raw":
        json.dumps(openai("Unsupported parameter: 'top_p' is not supported with this model.", "top_p"))}}}, ("top_p",)),
    (400, openai("Unsupported parameter: seed. Supported parameters: temperature, top_p, max_tokens."), ("seed",)),
    (400, "top_p is not supported", ("top_p",)),
    (400, {"error": "temperature is not supported by this model"}, ("temperature",)),
    (400, {"detail": "Unsupported parameter: temperature"}, ("temperature",)),
    (501, openai("seed is not yet supported"), ("seed",)),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "names"), REFUSALS, ids=range(len(REFUSALS)))
def test_a_refused_parameter_is_found_in_the_words_of_every_provider(
    status: int, body: Any, names: tuple[str, ...]
) -> None:
    assert refusal_of(status, json.dumps(body).encode(), SENT) == names


MORE_REFUSALS: list[tuple[int, Any, tuple[str, ...]]] = [
    (400, openai("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."), ("top_p",)),
    (400, [{"error": {"code": 400, "message": "Logprobs is not enabled for models/gemini-2.5-flash"}}], ("logprobs",)),
    (400, openai("property 'seed' is unsupported, did you mean 'stop'?"), ("seed",)),
    (422, "Failed to deserialize the JSON body into the target type: response_format: unknown variant `json_schema`, "
          "expected one of `json`, `regex` at line 1 column 9", ("response_format",)),
    (400, openai("deepseek-reasoner does not support logprobs or top_logprobs"), ("logprobs", "top_logprobs")),
    (400, openai("This response_format type is unavailable now"), ("response_format",)),
    (400, {"message": "body.seed: property 'body.seed' is unsupported", "type": "invalid_request_error",
           "param": "validation_error", "code": "wrong_api_format"}, ("seed",)),
    (400, [{"error": {"code": 400, "message": "Unable to submit request because it has a seed parameter, which is not "
                                              "supported. Remove it and try again."}}], ("seed",)),
    (400, {"error": {"message": "Provider returned error", "code": 400,
                     "metadata": {"raw": "top_p is not supported with this model", "provider_name": "X"}}}, ("top_p",)),
    (400, openai("litellm.UnsupportedParamsError: vertex_ai does not support parameters: {'logprobs': True, "
                 "'top_logprobs': 20}, for model=gemini-pro."), ("logprobs", "top_logprobs")),
    (400, openai("litellm.UnsupportedParamsError: gpt-5 models (including gpt-5-codex) don't support temperature=0.0. "
                 "Only temperature=1 is supported."), ("temperature",)),
    (400, {"title": "Bad Request", "status": 400, "detail": "Validation: Unsupported parameter(s): `seed`, `top_p`"},
     ("top_p", "seed")),
    (400, {"errors": [{"code": "json_validation_error", "message": "Json document validation error: unknown field "
                                                                   "'seed'"}]}, ("seed",)),
    (400, openai("invalid temperature: only 1 is allowed for this model"), ("temperature",)),
    (400, {"code": "Client specified an invalid argument", "error": "Argument not supported on this model: stop"},
     ("stop",)),
    (501, {"error": {"code": 501, "message": "This server does not support logprobs.", "type": "not_supported_error"}},
     ("logprobs",)),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "names"), MORE_REFUSALS, ids=range(len(MORE_REFUSALS)))
def test_a_refused_parameter_is_found_however_a_server_puts_it(status: int, body: Any, names: tuple[str, ...]) -> None:
    data = body if isinstance(body, str) else json.dumps(body)
    assert set(refusal_of(status, data, SENT)) == set(names)


SEED_ECHO = "The seed is not supported. temperature: unsupported. 'top_p' is not allowed."
OTHERS: list[tuple[int, Any]] = [
    (400, {"error": {"message": "Failed to generate JSON.", "code": "json_validate_failed",
                     "failed_generation": SEED_ECHO}}),
    (422, {"detail": [{"type": "missing", "loc": ["body", "messages", 0], "msg": "Field required",
                       "input": {"messages": [{"content": SEED_ECHO}], "x": [SEED_ECHO]}}]}),
    (400, {"error": {"message": "Invalid prompt", "content": SEED_ECHO, "prompt": [SEED_ECHO]}}),
    (400, openai("Penalty is not enabled for this model")),
    (400, openai("property 'chat_template_kwargs' is unsupported")),
    (400, openai("Requested sample logprobs of 20, which is greater than max allowed: 5")),
    (400, openai("This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4800 in the "
                 "messages, 200 in the completion). Please reduce the length of the messages or completion.",
                 "messages", "context_length_exceeded")),
    (400, openai("'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is "
                 "4096 tokens and your request has 100 input tokens.")),
    (400, openai("max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you "
                 "provided 100000.", "max_tokens", "invalid_value")),
    (400, openai("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]")),
    (400, openai("Could not finish the message because max_tokens or model output limit was reached. Please try again "
                 "with higher max_tokens.")),
    (400, openai("messages: roles must alternate; two user turns in a row are not supported", "messages")),
    (400, openai("messages with role 'system' are not supported")),
    (400, openai("Invalid 'messages[0].content': string too long.", "messages[0].content", "string_above_max_length")),
    (400, openai("The model `seed-oss` does not exist or is not supported", "model", "model_not_found")),
    (400, openai("top_p must be in (0, 1], got 0.0.", "top_p")),
    (400, openai("temperature must be non-negative, got -1.0.", "temperature")),
    (400, openai("`temperature` must be strictly positive")),
    (400, openai("Invalid value for 'top_logprobs': must be less than or equal to 5.", "top_logprobs")),
    (400, openai("Your prompt asks to stop the seed from growing; this content is not allowed by our policy.",
                 None, "content_policy_violation")),
    (400, openai("The texts speak of a stop, which is not allowed")),
    (403, openai("temperature is not allowed", "temperature")),
    (400, openai("no")),
    (400, {}),
    (400, ""),
    (400, [[[[]]]]),
    (401, openai("Unsupported parameter: 'temperature'")),
    (404, openai("Unsupported parameter: 'temperature'")),
    (429, openai("Unsupported parameter: 'temperature'")),
    (500, openai("Unsupported parameter: 'temperature'")),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), OTHERS, ids=range(len(OTHERS)))
def test_another_failure_refuses_no_parameter(status: int, body: Any) -> None:
    assert refusal_of(status, json.dumps(body), SENT) == ()


def test_only_what_was_sent_can_be_refused() -> None:
    body = json.dumps(openai("Unsupported parameter: 'temperature' is not supported with this model.", "temperature"))
    assert refusal_of(400, body, ("top_p", "seed")) == ()
    assert refusal_of(400, "{" * 5000, SENT) == refusal_of(400, "[" * 100_000 + "'seed' unsupported", ()) == ()


def test_a_refused_parameter_is_left_out_of_all_further_calls() -> None:
    parameters = Parameters()
    body = {"model": "m", "temperature": 0.7, "top_p": 0.9, "seed": 1, "max_tokens": 9}
    assert parameters.applied(body) == body
    assert parameters.learn(["temperature"], body) == {"temperature"}
    assert parameters.learn(["temperature"], body) == set()
    assert parameters.applied(body) == {"model": "m", "top_p": 0.9, "seed": 1, "max_tokens": 9}


def test_the_two_names_of_the_longest_length_are_exchanged_once() -> None:
    parameters = Parameters()
    assert parameters.learn(["max_tokens"], {"max_tokens"}) == {"max_tokens"}
    assert parameters.applied({"max_tokens": 9}) == {"max_completion_tokens": 9} and not parameters.left_out
    assert parameters.learn(["max_tokens"], {"max_tokens"}) == set()  # a call that was under way
    with pytest.raises(RefusedError, match="max_completion_tokens"):
        parameters.learn(["max_completion_tokens"], {"max_completion_tokens"})
    official = Parameters(limit="max_completion_tokens")
    assert official.applied({"max_tokens": 9}) == {"max_completion_tokens": 9}
    assert official.learn(["max_completion_tokens"], {"max_completion_tokens"}) == {"max_completion_tokens"}
    assert official.applied({"max_tokens": 9}) == {"max_tokens": 9}


@pytest.mark.parametrize("name", ["logprobs", "top_logprobs", "response_format"])
def test_what_a_reading_needs_is_never_left_out(name: str) -> None:
    with pytest.raises(RefusedError, match=name):
        Parameters().learn([name], SENT)
