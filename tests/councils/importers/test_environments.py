"""A `.env` alone, of three systems: addresses and limits are taken, keys are not."""

from __future__ import annotations

import pytest

from mom_council.errors import CouncilError
from mom_council.graph.council import compile_council
from mom_council.tests.councils.importers.conftest import Bring, places
from mom_council.tests.councils.importers.written import OLLAMA_ENV, TWO_SERVERS_ENV
from mom_council.tests.graph.desk import question
from mom_council.tests.stage import Stage


async def test_two_llama_servers_answer_and_no_password_is_copied(
    bring: Bring, stage: Stage
) -> None:
    found = bring({".env": TWO_SERVERS_ENV.replace("{url}", stage.url)})
    stage.model("large-one", reply="Blue.")
    stage.model("small-one", reply='{"route": "text"}')
    result = await compile_council(found.council).ainvoke(question("Why?"))
    assert result["messages"][-1].text == "Blue."
    assert {call.path for call in stage.calls} == {"/v1/chat/completions"}
    assert found.council.models["large-one"].context == 12000
    small = found.council.models["small-one"]
    assert (small.context, small.params) == (1000, {"temperature": 0.01})
    assert found.council.classifier.model == "small-one"
    assert {"APP_PORT", "POSTGRES_PASSWORD", "OPENSEARCH_PASSWORD", "Stable Diffusion"} <= places(
        found.left
    )
    assert "quite-secret-indeed" not in repr(found)
    assert "Test_12345" not in repr(found)


def test_an_ollama_env_alone_gives_the_home_council_there(bring: Bring) -> None:
    found = bring({".env": OLLAMA_ENV.replace("{url}", "http://10.0.0.5:11434")})
    assert {m.base_url for m in found.council.models.values()} == {"http://10.0.0.5:11434"}
    assert found.council.thermal is not None
    assert found.council.thermal.limit == 71
    assert "characters" in places(found.turned)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("PROVIDER_API_KEY=sk-abcdefghijklmnop\n", ["no model", "moa_config.yaml"]),
        ("OLLAMA_API_URL=ftp://x\n", ["OLLAMA_API_URL", "web address"]),
        ("OLLAMA_API_URL=http://u:p@x\n", ["OLLAMA_API_URL", "holds a login or a key"]),
        ("INFERENCE_SMALL_API_URL=http://x\n", ["INFERENCE_API_URL: is missing"]),
        ("INFERENCE_API_URL=http://x\nINFERENCE_CONTEXT_SIZE=big\n", ["INFERENCE_CONTEXT_SIZE"]),
        ("HOME=/root\n", ["holds no variable of a system"]),
        ("", ["holds no variable"]),
        ("= =\n\x00\n${X}`ls`\n", ["holds no variable"]),
    ],
)
def test_an_env_that_cannot_be_right_is_refused_without_its_secrets(
    bring: Bring, text: str, parts: list[str]
) -> None:
    with pytest.raises(CouncilError) as refused:
        bring({".env": text})
    for part in parts:
        assert part in str(refused.value)
    assert "sk-abc" not in str(refused.value)
    assert "u:p" not in str(refused.value)


def test_nothing_in_an_env_is_expanded(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_THING", "http://leaked.example")
    with pytest.raises(CouncilError, match="OLLAMA_API_URL") as refused:
        bring({".env": "OLLAMA_API_URL=${SECRET_THING}\n"})
    assert "leaked" not in str(refused.value)


def test_a_line_that_is_none_is_told_and_the_others_are_read(bring: Bring) -> None:
    found = bring({".env": "GPU_TEMP_LIMIT=70\n'a\nb=\nOLLAMA_API_URL=http://h:1\n"})
    assert ".env line 2" in places(found.left)
    assert found.council.thermal is not None
    assert found.council.thermal.limit == 70
