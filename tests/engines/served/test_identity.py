from typing import Any

import pytest

from engines.served.identity import ServedModel, listings, said_of

VLLM = {
    "object": "list",
    "data": [
        {"id": "m", "object": "model", "created": 1, "owned_by": "vllm", "root": "org/model", "parent": None,
         "max_model_len": 4096, "permission": [{"id": "modelperm-1", "created": 1}]},
        {"id": "lora", "object": "model", "created": 1, "owned_by": "vllm", "root": "/lora", "parent": "m"},
    ],
}  # fmt: skip


def identity(listing: Any, name: str = "m", served_as: str | None = None) -> str:
    return ServedModel(name, served_as, lambda: listing).identity


def changed(**fields: Any) -> Any:
    return {"data": [VLLM["data"][0] | fields]}  # type: ignore[index, operator]


def test_what_stays_the_same_as_long_as_the_model_is_told() -> None:
    assert said_of(VLLM, "m") == (("root", "org/model"),)
    assert said_of(VLLM, "lora") == (("parent", "m"), ("root", "/lora"))
    assert identity(VLLM) == identity(changed(created=99, permission=[{"id": "modelperm-2"}]))


@pytest.mark.parametrize("field", ["root", "revision", "sha", "digest", "version", "parent"])
def test_another_model_under_the_same_name_is_another(field: str) -> None:
    assert identity(VLLM) != identity(changed(**{field: "another"}))


@pytest.mark.parametrize(
    "listing",
    [None, [], {}, {"data": None}, {"data": [{"id": "other"}, {"id": "another"}]}, {"data": ["m"]}, "m", 3,
     {"data": [{"id": "m"}]}, {"data": [{"id": "m", "root": "m", "created": 7, "owned_by": "library"}]},
     {"error": {"message": "not found"}}],
)  # fmt: skip
def test_a_server_that_says_nothing_leaves_the_name(listing: Any) -> None:
    assert said_of(listing, "m") == () and identity(listing) == identity(None)
    assert identity(listing) != identity(None, "n")


def test_the_only_model_of_a_server_is_meant_by_any_name() -> None:
    llama = {"data": [{"id": "model.gguf", "created": 1, "owned_by": "llamacpp", "meta": {"n_params": 7, "size": 3}}]}
    assert said_of(llama, "m") == (("id", "model.gguf"), ("meta.n_params", "7"), ("meta.size", "3"))


def test_a_given_name_stands_for_all_that_the_server_says_and_asks_nothing() -> None:
    def never() -> object:
        raise AssertionError("asked")

    assert ServedModel("m", "mine", never).identity == ServedModel("alias", "mine", never).identity
    assert ServedModel("m", "mine", never).identity == identity(None, "mine")


def test_the_list_is_looked_for_under_the_version_too() -> None:
    assert listings("http://h:8000/v1") == ["http://h:8000/v1/models"]
    assert listings("http://h/v1/") == ["http://h/v1/models"]
    assert listings("http://h/v1beta/openai") == ["http://h/v1beta/openai/models"]
    assert listings("http://h") == ["http://h/models", "http://h/v1/models"]
    assert listings("http://h/x?key=k") == ["http://h/x/models?key=k", "http://h/x/v1/models?key=k"]
