"""The temperatures a machine really answers with, and how long the council waits for them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council.councils.schema import Thermal
from mom_council.errors import ThermalError
from mom_council.models.thermal import (
    LOST_AFTER,
    HeatReading,
    ThermalOutcome,
    ThermalReport,
    cool_down,
    hottest,
    read_temperatures,
    with_limit_of_environment,
)
from mom_council.tests.models.fake_nvml import build, play

pytestmark = pytest.mark.slow

SAY_READINGS = "say([[r.celsius, r.device, r.source] for r in read()])"
COOL_DOWN = """
import asyncio
from mom_council.councils.schema import Thermal
reports = []
policy = Thermal(limit=75, resume=68, poll=0.01, max_wait=30)
outcome = asyncio.run(cool_down(policy, read=read, report=reports.append))
say([outcome.state, outcome.celsius, [[r.state, r.celsius] for r in reports]])
"""


# NVML, by the real binding ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(scope="module")
def old_nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"), old_driver=True)


def test_every_device_is_read_and_the_hottest_counts(nvml: Path) -> None:
    code = "say([read()[1].device, hottest(read()).celsius, counter('fake_deprecated_calls')])"
    assert play(nvml, ["61 83"], code) == ["Fake (GPU 1)", 83, 0]


@pytest.mark.parametrize("word", ["t3", "t15", "t16", "h15", "h4", "v65535"])
def test_a_device_that_cannot_be_read_does_not_hide_the_others(nvml: Path, word: str) -> None:
    assert play(nvml, [f"{word} 70"], SAY_READINGS) == [[70, "Fake (GPU 1)", "nvml"]]


def test_an_old_driver_without_the_versioned_call_is_read_by_the_old_one(old_nvml: Path) -> None:
    assert play(old_nvml, ["66"], SAY_READINGS) == [[66, "Fake (GPU 0)", "nvml"]]


def test_a_device_that_only_the_old_call_knows_is_read_by_it(nvml: Path) -> None:
    assert play(nvml, ["v74"], SAY_READINGS) == [[74, "Fake (GPU 0)", "nvml"]]


def test_an_nvml_that_cannot_start_gives_no_reading_until_it_can(nvml: Path) -> None:
    code = "first = len(read()); del os.environ['FAKE_NVML_INIT']; say([first, len(read())])"
    assert play(nvml, ["70"], code, FAKE_NVML_INIT="9") == [0, 1]


def test_nvml_starts_anew_after_its_driver_was_reloaded(nvml: Path) -> None:
    code = "say([[len(read()) for _ in range(3)], counter('fake_inits')])"
    assert play(nvml, ["70", "c1", "71"], code) == [[1, 0, 1], 2]


def test_nvml_starts_once_for_many_threads(nvml: Path) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(lambda _: len(read()), range(40)))
say([found == [2] * 40, counter("fake_inits")])
"""
    assert play(nvml, ["70 71"], code) == [True, 1]


def test_a_machine_without_devices_or_without_the_binding_has_no_readings(nvml: Path) -> None:
    assert play(nvml, [""], SAY_READINGS) == []
    assert play(nvml, ["70"], "sys.modules['pynvml'] = None; " + SAY_READINGS) == []


def test_a_real_binding_takes_the_council_from_hot_through_warm_to_cool(nvml: Path) -> None:
    script = ["60 80", "60 74", "60 69", "60 68", "99 99"]
    states = [["waiting", 80], ["waiting", 74], ["waiting", 69], ["ok", 68]]
    assert play(nvml, script, COOL_DOWN) == ["cooled", 68, states]


def test_a_hot_device_that_is_lost_is_not_taken_for_a_cool_one(nvml: Path) -> None:
    script = ["60 80", "60 t15", "60 t15", "60 t15"]
    states = [["waiting", 80], ["waiting", 80], ["waiting", 80], ["ok", 60]]
    assert play(nvml, script, COOL_DOWN) == ["cooled", 60, states]


# hwmon --------------------------------------------------------------------------------------------


def chip(root: Path, folder: str, name: str, **sensors: str) -> Path:
    """Lay out one hwmon chip; `temp1="45000 edge"` is an input and its label."""
    made = root / folder
    made.mkdir()
    (made / "name").write_text(name + "\n")
    for sensor, text in sensors.items():
        value, _, label = text.partition(" ")
        (made / f"{sensor}_input").write_text(value + "\n")
        if label:
            (made / f"{sensor}_label").write_text(label + "\n")
    return made


def hwmon(root: Path) -> list[tuple[str, float]]:
    """What the hwmon files alone say: a machine with a real NVIDIA GPU has other readings too."""
    return [(r.device, r.celsius) for r in read_temperatures(root) if r.source == "hwmon"]


def test_a_graphics_card_counts_by_its_edge_not_by_its_hot_spot_or_memory(tmp_path: Path) -> None:
    chip(
        tmp_path, "hwmon3", "amdgpu", temp1="61000 edge", temp2="92000 junction", temp3="88000 mem"
    )
    assert hwmon(tmp_path) == [("amdgpu hwmon3", 61.0)]


def test_a_card_without_an_edge_sensor_counts_by_its_hot_spot(tmp_path: Path) -> None:
    chip(tmp_path, "hwmon0", "amdgpu", temp2="81500 junction", temp3="70000 mem")
    assert hwmon(tmp_path) == [("amdgpu hwmon0", 81.5)]


@pytest.mark.parametrize("name", ["radeon", "nouveau", "i915"])
def test_an_unlabelled_sensor_of_a_graphics_driver_counts(tmp_path: Path, name: str) -> None:
    chip(tmp_path, "hwmon1", name, temp1="55000")
    assert hwmon(tmp_path) == [(f"{name} hwmon1", 55.0)]


def test_of_several_sensors_of_one_kind_the_hottest_that_can_be_read_counts(tmp_path: Path) -> None:
    chip(tmp_path, "hwmon1", "nouveau", temp1="55000", temp2="57000", temp3="-", temp4="56000")
    assert hwmon(tmp_path) == [("nouveau hwmon1", 57.0)]


def test_the_package_of_an_intel_card_counts(tmp_path: Path) -> None:
    chip(tmp_path, "hwmon1", "xe", temp2="58000 pkg", temp3="80000 vram")
    assert hwmon(tmp_path) == [("xe hwmon1", 58.0)]


def test_processors_disks_and_boards_do_not_count(tmp_path: Path) -> None:
    for folder, name in enumerate(["coretemp", "k10temp", "nvme", "acpitz", "iwlwifi_1"]):
        chip(tmp_path, f"hwmon{folder}", name, temp1="97000")
    assert hwmon(tmp_path) == []


def test_two_equal_cards_are_told_apart_by_their_address(tmp_path: Path) -> None:
    root = tmp_path / "hwmon"
    root.mkdir()
    for folder, address in [("hwmon0", "0000:03:00.0"), ("hwmon1", "0000:0a:00.0")]:
        (tmp_path / address).mkdir()
        (chip(root, folder, "amdgpu", temp1="50000 edge") / "device").symlink_to(tmp_path / address)
    assert [name for name, _ in hwmon(root)] == ["amdgpu 0000:03:00.0", "amdgpu 0000:0a:00.0"]


@pytest.mark.parametrize("text", ["", "hot", "12.5.1", "511000", "-273150", "\0\0"])
def test_an_unreadable_value_is_left_out(tmp_path: Path, text: str) -> None:
    chip(tmp_path, "hwmon0", "amdgpu", temp1=text)
    chip(tmp_path, "hwmon1", "radeon", temp1="44000")
    assert hwmon(tmp_path) == [("radeon hwmon1", 44.0)]


def test_vanished_unopenable_and_undecodable_files_are_left_out(tmp_path: Path) -> None:
    (chip(tmp_path, "hwmon0", "amdgpu") / "temp1_input").symlink_to(tmp_path / "gone")
    (chip(tmp_path, "hwmon1", "amdgpu") / "temp1_input").mkdir()
    (chip(tmp_path, "hwmon2", "amdgpu") / "temp1_input").write_bytes(b"\xff\xfe")
    (chip(tmp_path, "hwmon5", "") / "name").write_bytes(b"\xff\xfe")
    (tmp_path / "hwmon3").mkdir()
    (tmp_path / "hwmon4").write_text("a file where a folder should be")
    assert hwmon(tmp_path) == []


def test_a_machine_without_hwmon_has_no_such_readings(tmp_path: Path) -> None:
    assert hwmon(tmp_path / "nowhere") == []


def test_nothing_read_has_no_hottest() -> None:
    assert hottest([]) is None


# The policy ---------------------------------------------------------------------------------------


class Room:
    """A clock that only sleeping moves, and devices that follow a script, one entry a poll."""

    def __init__(self, *polls: Sequence[float | None], slow: float = 0.0) -> None:
        self.polls = polls
        self.slow = slow
        self.now = 1000.0
        self.taken = 0
        self.reports: list[ThermalReport] = []
        self.read_in: set[int] = set()

    def read(self) -> list[HeatReading]:
        self.read_in.add(threading.get_ident())
        degrees = self.polls[min(self.taken, len(self.polls) - 1)]
        self.taken += 1
        self.now += self.slow
        return [
            HeatReading(celsius=celsius, device=f"gpu{index}", source="hwmon")
            for index, celsius in enumerate(degrees)
            if celsius is not None
        ]

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def cool(self, policy: Thermal) -> ThermalOutcome:
        return await cool_down(
            policy,
            read=self.read,
            report=self.reports.append,
            sleep=self.sleep,
            clock=lambda: self.now,
        )

    @property
    def told(self) -> list[str]:
        return [report.state for report in self.reports]


POLICY = Thermal(limit=75, resume=68, poll=5, max_wait=20)
STOP = POLICY.model_copy(update={"then": "stop"})


async def test_a_cool_machine_does_not_wait() -> None:
    room = Room([75, 40])
    outcome = await room.cool(POLICY)
    assert (outcome.state, outcome.waited, room.told) == ("ok", 0, ["ok"])


async def test_a_hot_machine_waits_past_the_limit_down_to_resume() -> None:
    room = Room([80], [74], [68])
    outcome = await room.cool(POLICY)
    assert outcome == ThermalOutcome(state="cooled", celsius=68, device="gpu0", waited=10)
    assert [(r.state, r.celsius, r.waited, r.remaining) for r in room.reports] == [
        ("waiting", 80, 0, 20),
        ("waiting", 74, 5, 15),
        ("ok", 68, 10, 10),
    ]


async def test_the_wait_ends_when_its_time_is_over_and_the_council_proceeds() -> None:
    room = Room([80])
    outcome = await room.cool(POLICY.model_copy(update={"poll": 15}))
    assert (outcome.state, outcome.waited) == ("gave_up", 20)
    assert room.told == ["waiting", "waiting", "gave_up"]


async def test_the_council_stops_where_its_policy_says_so_and_names_the_cure() -> None:
    room = Room([40, 83])
    with pytest.raises(ThermalError) as stopped:
        await room.cool(STOP)
    for part in ("'gpu1'", "83 °C", "20 s", "thermal.limit", "thermal.max_wait", "then: proceed"):
        assert part in str(stopped.value)
    assert room.told[-1] == "gave_up"


async def test_a_machine_that_hovers_below_the_limit_stops_nobody() -> None:
    assert (await Room([80], [70]).cool(STOP)).state == "gave_up"


async def test_no_patience_at_all_gives_up_at_once() -> None:
    room = Room([80])
    outcome = await room.cool(POLICY.model_copy(update={"max_wait": 0}))
    assert (outcome.state, outcome.waited, room.told) == ("gave_up", 0, ["gave_up"])


async def test_a_patience_too_short_for_the_clock_to_notice_ends() -> None:
    outcome = await Room([80]).cool(POLICY.model_copy(update={"max_wait": 1e-20}))
    assert outcome.state == "gave_up"


async def test_a_resume_above_the_limit_counts_as_the_limit() -> None:
    room = Room([80], [76], [75])
    outcome = await room.cool(POLICY.model_copy(update={"resume": 90}))
    assert (outcome.state, outcome.celsius, room.reports[0].resume) == ("cooled", 75, 75)


@pytest.mark.parametrize("policy", [POLICY, STOP])
async def test_without_a_sensor_the_council_says_so_and_goes_on(policy: Thermal) -> None:
    room = Room([])
    outcome = await room.cool(policy)
    assert outcome == ThermalOutcome(state="no_sensor", celsius=None, device=None, waited=0)
    assert room.told == ["no_sensor"]


async def test_a_sensor_that_misses_a_poll_counts_as_hot_as_it_was() -> None:
    room = Room([80], [None], [None], [74], [60])
    outcome = await room.cool(POLICY)
    assert [r.celsius for r in room.reports] == [80, 80, 80, 74, 60]
    assert outcome.state == "cooled"


async def test_a_sensor_that_stays_away_is_not_waited_for() -> None:
    room = Room([80], [])
    outcome = await room.cool(STOP)
    assert outcome.state == "no_sensor"
    assert room.told == ["waiting"] * LOST_AFTER + ["no_sensor"]


async def test_another_device_that_gets_hot_during_the_wait_is_waited_for() -> None:
    room = Room([80, 50], [60, 79], [60, 68])
    assert (await room.cool(POLICY)).device == "gpu1"
    assert room.told == ["waiting", "waiting", "ok"]


async def test_temperatures_are_read_off_the_event_loop() -> None:
    room = Room([40])
    await room.cool(POLICY)
    assert threading.get_ident() not in room.read_in


async def test_a_driver_that_hangs_does_not_hang_the_council() -> None:
    release = threading.Event()

    def read() -> list[HeatReading]:
        release.wait(30)
        return []

    started = time.monotonic()
    try:
        outcome = await cool_down(POLICY, read=read, report=lambda _: None, read_timeout=0.05)
    finally:
        release.set()
    assert outcome.state == "no_sensor"
    assert time.monotonic() - started < 5


async def test_a_cancelled_wait_ends_at_once() -> None:
    room = Room([80])
    asleep = asyncio.Event()

    def report(told: ThermalReport) -> None:
        room.reports.append(told)
        asleep.set()

    waiting = asyncio.create_task(cool_down(POLICY, read=room.read, report=report))
    await asleep.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert room.told == ["waiting"]


degrees = st.one_of(st.none(), st.floats(min_value=20, max_value=110))


@given(
    polls=st.lists(st.lists(degrees, max_size=3), min_size=1, max_size=8),
    limit=st.floats(min_value=20, max_value=120),
    resume=st.floats(min_value=10, max_value=120),
    poll=st.floats(min_value=1, max_value=300),
    patience=st.floats(min_value=0, max_value=12),
    slowness=st.floats(min_value=0, max_value=1),
)
def test_whatever_the_sensors_say_the_wait_is_bounded_and_hysteretic(
    *,
    polls: list[list[float | None]],
    limit: float,
    resume: float,
    poll: float,
    patience: float,
    slowness: float,
) -> None:
    numbers = {"limit": limit, "resume": resume, "poll": poll, "max_wait": poll * patience}
    policy = POLICY.model_copy(update=numbers)  # a copy is not checked, so resume may be above
    room = Room(*polls, slow=poll * slowness)
    outcome = asyncio.run(room.cool(policy))
    first = max((celsius for celsius in polls[0] if celsius is not None), default=None)

    assert outcome.waited <= policy.max_wait + policy.poll + 1e-6
    assert len(room.reports) == room.taken
    assert set(room.told[:-1]) <= {"waiting"}
    if first is None or first <= limit:
        assert room.taken == 1
        assert outcome.state == ("no_sensor" if first is None else "ok")
    else:
        assert outcome.state != "ok"
    if outcome.state == "cooled":
        assert outcome.celsius is not None
        assert outcome.celsius <= min(resume, limit)
    if outcome.state == "gave_up":
        assert outcome.waited >= policy.max_wait - 1e-6


# The module ---------------------------------------------------------------------------------------


def test_the_module_loads_no_driver_and_no_framework() -> None:
    code = (
        "import sys, mom_council.models.thermal\n"
        "print({'pynvml', 'langgraph', 'langchain', 'langchain_core'} & set(sys.modules))"
    )
    paths = "import sys; sys.path[:] = " + repr(sys.path) + "\n"
    ran = subprocess.run(
        [sys.executable, "-c", paths + code], capture_output=True, text=True, check=False
    )
    assert ran.stdout == "set()\n", ran.stderr


@pytest.mark.parametrize(
    ("written", "value", "limit"),
    [({}, "61", 61), ({}, "hot", 75), ({}, "900", 75), ({}, "", 75), ({"limit": 80}, "61", 80)],
)
def test_the_environment_sets_the_limit_that_a_council_leaves_open(
    written: dict[str, float], value: str, limit: float
) -> None:
    policy = with_limit_of_environment(Thermal(**written), {"GPU_TEMP_LIMIT": value})
    assert policy.limit == limit
    assert policy.resume <= policy.limit
