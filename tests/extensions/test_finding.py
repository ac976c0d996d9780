"""Where extensions come from, and what a council from anywhere may load."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from mom_council.errors import CouncilError, UnknownNameError
from mom_council.extensions import At, Extension
from mom_council.extensions.finding import GROUP, find, home, lacking
from mom_council.extensions.loaded import extensions_of
from mom_council.graph.council import compile_council
from mom_council.tests.graph.desk import desk, question, said, seat, speaking
from mom_council.tests.stage import Stage

CODE = """
from mom_council.extensions import Extension

class Shouting(Extension):
    description = "says it louder"

    async def on_answer(self, at, answer):
        return answer.upper()
"""
EVIL = "import pathlib; pathlib.Path({!r}).write_text('ran')\n" + CODE


def folder(place: Path, name: str = "shouting", code: str = CODE, **config: Any) -> Path:
    made = place / name
    made.mkdir(parents=True)
    (made / "config.json").write_text(json.dumps({"name": name, **config}), "utf-8")
    (made / "extension.py").write_text(code, "utf-8")
    return made


async def ask(stage: Stage, use: str, **settings: Any) -> Any:
    seat(stage)
    council = desk(stage, extensions=[{"use": use, "settings": settings}])
    return await compile_council(council).ainvoke(question())


@pytest.mark.parametrize("use", ["shouting", "extensions/shouting"])
async def test_a_folder_in_the_data_directory_is_found_by_its_name(stage: Stage, use: str) -> None:
    folder(home(), version="1.2", author="Ann", description="Louder.", requires=["pydantic>=2"])
    result = await ask(stage, use)
    assert result["messages"][-1].text == "WHAT THE COUNCIL SAYS."
    [found] = extensions_of(desk(stage, extensions=[{"use": use}]))
    assert (found.name, found.kind, found.version, found.author, found.description) == (
        "shouting", "folder", "1.2", "Ann", "Louder.",
    )  # fmt: skip
    assert found.problem == ""


async def test_a_folder_may_have_modules_of_its_own(stage: Stage) -> None:
    made = folder(home(), code=CODE.replace("answer.upper()", "loud(answer)"))
    code = (made / "extension.py").read_text("utf-8")
    (made / "extension.py").write_text(f"from .loud import loud\n{code}", "utf-8")
    (made / "loud.py").write_text("def loud(text):\n    return text + '!'\n", "utf-8")
    assert (await ask(stage, "shouting"))["messages"][-1].text == "What the council says.!"


async def test_folders_and_modules_elsewhere_need_the_owners_word(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat(stage)
    ran = tmp_path / "ran"
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    folder(tmp_path / "extensions", code=EVIL.format(str(ran)))
    (tmp_path / "evil_module.py").write_text(EVIL.format(str(ran)), "utf-8")
    for use in (
        "shouting",
        "extensions/shouting",
        "./extensions/shouting",
        str(tmp_path / "extensions" / "shouting"),
        "../shouting",
        "extensions/../../shouting",
        "evil_module",
        "evil_module:Shouting",
        "os.path",
        "shouting\x00",
        "shouting/",
        "..",
        ".",
        "C:\\shouting",
    ):
        with pytest.raises(CouncilError) as refused:
            compile_council(desk(stage, extensions=[{"use": use}]))
        assert "extensions[0].use: " in str(refused.value)
        assert "\n" not in str(refused.value)
    assert not ran.exists()
    assert "evil_module" not in sys.modules
    trusted = os.pathsep.join([str(tmp_path / "extensions"), "evil_module"])
    monkeypatch.setenv("MOM_EXTENSIONS", trusted)
    for use in ("shouting", "evil_module", "evil_module:Shouting"):
        ran.unlink(missing_ok=True)
        sys.modules.pop("evil_module", None)
        result = await ask(stage, use)
        assert result["messages"][-1].text == "WHAT THE COUNCIL SAYS."
        assert ran.read_text("utf-8") == "ran"
    sys.modules.pop("evil_module", None)
    with pytest.raises(UnknownNameError, match="a module must stand in MOM_EXTENSIONS"):
        find("os")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    elsewhere = folder(tmp_path / "elsewhere")
    home().mkdir(parents=True)
    (home() / "linked").symlink_to(elsewhere)
    with pytest.raises(CouncilError, match="leads out of its folder"):
        find("linked")
    made = folder(home(), "half")
    (made / "extension.py").unlink()
    (made / "extension.py").symlink_to(elsewhere / "extension.py")
    with pytest.raises(CouncilError, match=r"holds no file 'extension.py'"):
        find("half")


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("{", "is no JSON"),
        ("[]", "it: "),
        ('{"version": "1"}', "name: Field required"),
        ('{"name": "x", "requires": 3}', "requires: "),
        ("[" * 50_000, "is no JSON"),
        ('{"name": "' + "x" * 70_000 + '"}', "is larger than 64 kB"),
    ],
)
def test_a_config_that_is_none_is_refused_in_one_line(config: str, why: str) -> None:
    made = folder(home())
    (made / "config.json").write_text(config, "utf-8")
    with pytest.raises(CouncilError) as refused:
        find("shouting")
    assert why in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("requires", "why"),
    [
        (["no-such-package-mom>=3"], "it needs the package 'no-such-package-mom': pip install"),
        ({"pydantic": ">=99"}, "it needs 'pydantic>=99' and "),
        (["not a requirement"], "'not a requirement' among its requirements is none"),
    ],
)
async def test_a_missing_requirement_is_named_and_the_council_sits_without(
    stage: Stage, requires: Any, why: str, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    folder(home(), code=EVIL.format(str(ran)), requires=requires)
    result = await ask(stage, "shouting")
    [note] = result["status"].notes
    assert "'shouting' failed to load" in note
    assert why in note
    assert "\n" not in note
    assert result["status"].degraded
    assert result["messages"][-1].text == "What the council says."
    assert not ran.exists()
    [found] = extensions_of(desk(stage, extensions=[{"use": "shouting"}]))
    assert why in found.problem


def test_requirements_are_read_from_requirements_txt_too() -> None:
    made = folder(home())
    lines = "# what it needs\n-r other.txt\npydantic>=2  # ours\n"
    (made / "requirements.txt").write_text(lines + "nothing-like-it==1 ; python_version < '3'\n")
    assert find("shouting").problem is None
    (made / "requirements.txt").write_text(lines + "nothing-like-it==1\n")
    assert "nothing-like-it" in str(find("shouting").problem)
    assert lacking(["pydantic", "nothing-like-it; sys_platform == 'nowhere'"]) is None


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import no_such_module_mom\n", "it needs the package 'no_such_module_mom'"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("def broken(:\n", "SyntaxError"),
        ("import sys; sys.exit(3)\n", "SystemExit"),
    ],
)
async def test_code_that_does_not_load_is_named_and_the_council_sits_without(
    stage: Stage, code: str, why: str
) -> None:
    folder(home(), code=code)
    [note] = (await ask(stage, "shouting"))["status"].notes
    assert why in note


def test_a_module_without_an_extension_is_refused() -> None:
    folder(home(), "none", code="x = 1\n")
    folder(home(), "two", code=f"{CODE}\nclass Other(Shouting):\n    pass\n")
    with pytest.raises(CouncilError, match="holds no extension"):
        find("none").load()
    with pytest.raises(CouncilError, match="several extensions"):
        find("two").load()


async def test_an_installed_package_is_found_by_its_entry_point(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loud_package.py").write_text(CODE, "utf-8")
    about = tmp_path / "loud_package-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: loud-package\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\nloud = loud_package:Shouting\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert find("loud").kind == "installed"
    assert (await ask(stage, "loud"))["messages"][-1].text == "WHAT THE COUNCIL SAYS."
    sys.modules.pop("loud_package", None)


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'deep_thinking'"):
        find("deep_thinkin")
    with pytest.raises(UnknownNameError, match="mom extensions list"):
        find("zzz")


def test_a_settings_form_can_be_drawn_from_what_is_described(stage: Stage) -> None:
    class Formed(Extension):
        """Has a schema of its own.

        And more to say.
        """

        Settings = {"type": "object", "properties": {"loud": {"type": "boolean"}}}

        async def on_answer(self, at: At, answer: str) -> str | None:
            return None

    uses = [
        {"use": "deep_thinking", "settings": {"rounds": 3}},
        {"use": "formed"},
        {"use": "missing"},
    ]
    deep, formed, missing = extensions_of(desk(stage, extensions=uses), {"formed": Formed})
    assert deep.settings == {"rounds": 3}
    assert deep.settings_schema
    assert deep.settings_schema["properties"]["rounds"]["maximum"] == 20
    assert deep.settings_schema["properties"]["rounds"]["description"] == "maximum number of rounds"
    assert (formed.kind, formed.description) == ("given", "Has a schema of its own.")
    assert formed.settings_schema == Formed.Settings
    assert "no extension 'missing'" in missing.problem


OLD = '''
import asyncio
from typing import Any, Dict
import gradio as gr
from extensions import Extension

class Politeness(Extension):
    """Adds manners."""

    def init(self, collective_brain) -> None:
        self.ready = True
        self.mark = "."

    def get_ui_components(self) -> Dict[str, Any]:
        with gr.Row():
            return {"on": gr.Checkbox(label="On", value=True)}

    async def pre_process(self, message: str, history: list) -> tuple:
        await asyncio.sleep(0)
        return f"Please: {message} ({len(history)})", history

    async def post_process(self, response: str, history: list) -> tuple:
        assert self.ready and history[-1] == (history[-1][0], response)
        return f"{response} Yours truly.", history

    def get_extension_name(self) -> str:
        return "Politeness"
'''


async def test_an_extension_of_system_1_works_as_it_stands(stage: Stage) -> None:
    before = sys.modules.get("extensions")
    folder(home(), "Politeness", OLD, version="1.0", author="Ann", requires=[])
    result = await ask(stage, "Politeness")
    assert result["messages"][-1].text == "What the council says. Yours truly."
    assert result["status"].notes == ()
    for call in speaking(stage.calls):
        assert "Please: What is the best pet? (0)" in said(call.body)
    assert sys.modules.get("extensions") is before
    assert "gradio" not in sys.modules
    [found] = extensions_of(desk(stage, extensions=[{"use": "Politeness"}]))
    assert (found.description, found.problem) == ("Adds manners.", "")


async def test_one_that_answers_by_itself_gives_material(stage: Stage) -> None:
    yielding = OLD.replace(
        'return f"Please: {message} ({len(history)})", history',
        'yield message, [*history, (message, "")], True\n'
        '        yield message, [*history, (message, "I say: a cat.")], True',
    ).replace("-> tuple:\n        await", "-> Any:\n        await")
    folder(home(), "Politeness", yielding)
    result = await ask(stage, "Politeness")
    assert result["status"].notes == ()
    for model in ("ada", "pen"):
        assert "I say: a cat." in said(stage.calls_to(model)[0].body)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (('return f"Please', '1 / 0; return f"Please'), "ZeroDivisionError"),
        (('return f"{response} Yours truly.", history', "return 42"), "post_process gave 'int'"),
        (("self.ready = True", "raise OSError('no brain')"), "OSError: no brain"),
    ],
)
async def test_one_that_fails_is_named_like_any_other(
    stage: Stage, broken: tuple[str, str], why: str
) -> None:
    folder(home(), "Politeness", OLD.replace(*broken))
    result = await ask(stage, "Politeness")
    [note] = result["status"].notes
    assert why in note
    assert "What the council says." in result["messages"][-1].text
