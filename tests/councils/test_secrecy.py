"""What counts as a secret, and what only sounds like one."""

from __future__ import annotations

import pytest

from mom_council.redaction import (
    HIDDEN,
    fault_in_address,
    may_be_a_key,
    names_a_secret,
    quote,
    secrets_in,
)


@pytest.mark.parametrize(
    "key", ["api_key", "apiKey", "OPENAI_API_KEY", "token", "hf_token", "x-api-key", "Cookie",
            "client_secret", "AWS_SECRET_ACCESS_KEY", "password", "use_auth_token",
            "Authorization"],
)  # fmt: skip
def test_a_name_for_a_secret_is_known_as_one(key: str):
    assert names_a_secret(key)


@pytest.mark.parametrize(
    "key",
    ["max_tokens", "eos_token", "top_p", "api_key_env", "key", "stop", "logprobs", "", "ключ"],
)
def test_a_name_that_only_sounds_like_one_is_none(key: str):
    assert not names_a_secret(key)


@pytest.mark.parametrize(
    "text",
    ["claude-sonnet-4-5-20250929", "meta-llama/Llama-3.3-70B-Instruct", "task-oriented-thinking",
     "basic arithmetic", "Analyst", "deepseek-r1-distill-qwen-32b", "risk-averse-personality"],
)  # fmt: skip
def test_names_of_models_and_plain_words_are_shown(text: str):
    assert not may_be_a_key(text)
    assert quote(text) == repr(text)


def test_what_is_shown_is_short_and_never_a_container():
    assert len(quote("word " * 100)) < 70
    assert quote({"a": "secret"}) == "a mapping"
    assert quote(["secret"]) == "a list"
    assert quote(b"secret") == "a Python bytes"
    assert quote("Bearer 0123456789abcdef") == HIDDEN


def test_secrets_are_found_at_any_depth_and_named_by_their_path():
    params = {"a": [{"headers": {"X-Api-Key": "x"}}, "sk-0123456789"], "max_tokens": 3}
    assert list(secrets_in(params)) == ["a[0].headers.X-Api-Key", "a[1]"]


@pytest.mark.parametrize(
    "url", ["http://localhost:11434", "https://api.example.org/v1?api-version=1"]
)
def test_a_plain_address_has_no_fault(url: str):
    assert fault_in_address(url) is None


@pytest.mark.parametrize(
    "url", ["", "x", "file:///etc", "http://", "http://a b", "http://u:p@h", "http://h:0", "http://[",
            "https://h/v1?key=1&token=2"],
)  # fmt: skip
def test_a_faulty_address_is_told_without_being_repeated(url: str):
    fault = fault_in_address(url)
    assert fault
    assert len(url) < 8 or url not in fault
