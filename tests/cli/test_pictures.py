"""`mom ask --image`: pictures from files, and words for those that cannot be taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mom_council.tests.graph.desk import said, seat, voice
from mom_council.tests.models.eye import drawing
from mom_council.tests.stage import Stage

from .conftest import Mom
from .test_ask import File


@pytest.fixture
def seeing(stage: Stage, council_file: File) -> str:
    """A council's file in which everyone sees."""
    seat(stage)
    names = ("ada", "boris", "clara", "pen")
    return council_file(models={name: voice(stage, name, vision=True) for name in names})


def test_pictures_go_with_the_question(mom: Mom, stage: Stage, seeing: str, tmp_path: Path) -> None:
    for name, form in (("a.png", "PNG"), ("b.webp", "WEBP")):
        (tmp_path / name).write_bytes(drawing("red", "blue", form=form))
    files = ["--image", str(tmp_path / "a.png"), "-i", str(tmp_path / "b.webp")]
    asked = mom("ask", "Which is older?", *files, "-c", seeing)
    assert (asked.code, asked.out) == (0, "What the council says.\n")
    content: Any = stage.calls_to("ada")[0].body["messages"][-1]["content"]
    assert [block["type"] for block in content] == ["text", "image_url", "image_url"]
    assert content[0]["text"] == "Which is older?"


def test_a_picture_needs_no_words(mom: Mom, stage: Stage, seeing: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(drawing("red", "blue"))
    assert mom("ask", "--image", str(tmp_path / "a.png"), "-c", seeing).code == 0
    assert "What is in the picture?" in said(stage.calls_to("ada")[0].body)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), (b"words", "'a.png' cannot be read as a picture")],
)
def test_a_file_that_is_no_picture_is_refused_before_anything_is_asked(
    mom: Mom, stage: Stage, seeing: str, tmp_path: Path, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    mom("ask", "Why?", "-i", str(tmp_path / "a.png"), "-c", seeing).refuses(2, "--image", says)
    assert not stage.calls


def test_no_picture_given_as_one_is_told_of_the_option_for_files(
    mom: Mom, stage: Stage, seeing: str, tmp_path: Path
) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 none")
    mom("ask", "Why?", "-i", str(tmp_path / "a.pdf"), "-c", seeing).refuses(2, "--image", "--file")


def test_a_text_file_goes_into_the_question_and_a_picture_file_is_a_picture(
    mom: Mom, stage: Stage, seeing: str, tmp_path: Path
) -> None:
    (tmp_path / "bill.csv").write_text("item,price\ntea,4\nbread,3\n")
    (tmp_path / "a.png").write_bytes(drawing("red", "blue"))
    files = ["--file", str(tmp_path / "bill.csv"), "--file", str(tmp_path / "a.png")]
    assert mom("ask", "What does it cost?", *files, "-c", seeing).code == 0
    content: Any = stage.calls_to("ada")[0].body["messages"][-1]["content"]
    assert [block["type"] for block in content] == ["text", "image_url"]
    assert "bread,3" in content[0]["text"]


def test_a_file_that_nobody_reads_is_named(
    mom: Mom, stage: Stage, seeing: str, tmp_path: Path
) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 \x00\xff")
    asked = mom("ask", "What is in it?", "--file", str(tmp_path / "a.pdf"), "-c", seeing, "--json")
    assert asked.code == 0
    assert any("a.pdf" in note for note in asked.object["status"]["notes"])
    assert "you cannot read it" in said(stage.calls_to("ada")[0].body)


def test_a_file_that_is_not_there_is_refused(mom: Mom, stage: Stage, seeing: str) -> None:
    mom("ask", "Why?", "--file", "none.txt", "-c", seeing).refuses(2, "--file", "No such file")
    assert not stage.calls


@pytest.fixture
def studio(stage: Stage, council_file: File) -> str:
    """The file of a council that draws."""
    seat(stage)
    stage.model("pen", reply="A red cat.")
    stage.model("brush")
    names = ("ada", "boris", "clara", "pen", "brush")
    models = {name: voice(stage, name) for name in names}
    return council_file(models=models, painter={"model": "brush"})


def test_a_picture_that_was_drawn_is_named_by_its_file(mom: Mom, studio: str) -> None:
    asked = mom("ask", "/image a cat", "-c", studio)
    assert asked.code == 0
    file = Path(asked.out.splitlines()[-1])
    assert file.read_bytes().startswith(b"\x89PNG")
    assert "A red cat." in asked.out


def test_json_has_the_file_the_prompt_and_the_seed(mom: Mom, studio: str) -> None:
    whole = mom("ask", "--json", "/image a cat", "-c", studio).object
    [picture] = whole["pictures"]
    assert Path(picture.pop("file")).is_file()
    assert picture == {"prompt": "A red cat.", "seed": None, "model": "brush"}
    assert (whole["status"]["route"], whole["status"]["written_by"]) == ("image", "brush")
    assert [segment["name"] for segment in whole["usage"]["segments"]] == ["painter", "picture"]
