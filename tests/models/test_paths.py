"""Where things are kept on this machine."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mom_council import paths
from mom_council.errors import StorageError

AS_NOBODY = """
import os, sys
from pathlib import Path
from mom_council.errors import StorageError
from mom_council.paths import ensure
if os.getuid() == 0:
    os.setuid(65534)
try:
    ensure(Path(sys.argv[1]))
except StorageError as error:
    print(error)
"""


def test_the_data_directory_is_where_its_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOM_DATA_DIR", "/there")
    monkeypatch.setenv("XDG_DATA_HOME", "/elsewhere")
    assert paths.data_dir() == Path("/there")
    assert paths.state_db() == Path("/there/threads.db")
    assert paths.weights_dir() == Path("/there/weights")
    assert paths.traces_dir() == Path("/there/traces")


def test_a_relative_data_directory_is_made_whole() -> None:
    assert paths.data_dir({"MOM_DATA_DIR": "here"}) == Path.cwd() / "here"


def test_xdg_data_home_is_honoured() -> None:
    assert paths.data_dir({"XDG_DATA_HOME": "/elsewhere"}) == Path("/elsewhere/mixture-of-models")


@pytest.mark.parametrize("value", ["", "not/absolute"])
def test_a_void_xdg_data_home_means_the_usual_place(
    value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", value)
    monkeypatch.delenv("MOM_DATA_DIR", raising=False)
    assert paths.data_dir().is_absolute()
    assert paths.data_dir().is_relative_to(tmp_path)


def test_the_home_of_nobody_known_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match="set MOM_DATA_DIR to a folder, written in full"):
        paths.data_dir({"MOM_DATA_DIR": "~no-such-user-at-all/x"})


def test_folders_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    made = paths.ensure(tmp_path / "a" / "b")
    assert paths.ensure(made) == made
    assert [oct(one.stat().st_mode & 0o777) for one in (made, made.parent)] == ["0o700"] * 2


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_the_way_is_told_with_the_cure(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"nothing can be kept in .*; set MOM_DATA_DIR to") as e:
        paths.ensure(tmp_path / "file" / below)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_read_only_folder_is_told_with_the_cure(below: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        told = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(Path(folder) / below)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    assert told.startswith("nothing can be kept in ")
    assert told.endswith("; set MOM_DATA_DIR to a folder that can be written to\n")


def test_what_the_user_writes_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOM_CONFIG_DIR", "/there")
    assert paths.config_dir() == Path("/there")
    shared = {"XDG_CONFIG_HOME": "/elsewhere", "XDG_DATA_HOME": "/other"}
    assert paths.config_dir(shared) == Path("/elsewhere/mixture-of-models")
