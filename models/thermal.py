"""How hot the GPUs are, and how long a council waits for them to cool.

Temperatures come from NVML (NVIDIA) and from the kernel's hwmon files (AMD, Intel, nouveau); no
sensor is an answer too, never an error. Only GPUs are read: a laptop's CPU at 90 °C under load is
normal, and a watch that waited for it would never let anyone ask. This module knows nothing of
graphs; `cool_down` tells each poll to whoever listens.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from mom_council.errors import ThermalError
from mom_council.records import Record

if TYPE_CHECKING:
    from types import ModuleType

    from mom_council.councils.schema import Thermal

HWMON = Path("/sys/class/hwmon")
GPU_CHIPS = frozenset({"amdgpu", "radeon", "nouveau", "i915", "xe"})
CORE_LABELS = ("edge", "pkg", "", "junction")
"""Which of a chip's sensors stands for the GPU: the first of these that it has ("" is unlabelled).
They mean what NVML means by a GPU's temperature. The hot spot (junction) runs 20 to 30 °C above
the edge in good health, so it counts only on cards that have nothing else; memory never does."""

PLAUSIBLE = (-40.0, 150.0)
"""Degrees Celsius; sleeping and broken sensors answer 511, 65535 or -273."""

LOST_AFTER = 3
"""Polls in a row without a device's reading after which it is no longer waited for."""

READ_TIMEOUT = 5.0
"""Seconds; a GPU that has fallen off its bus can block its driver for minutes."""


class HeatReading(Record):
    """One device's temperature, now."""

    celsius: float = Field(description="degrees Celsius")
    device: str = Field(description="the device; no two of one reading share it")
    source: Literal["nvml", "hwmon"]


class ThermalReport(Record):
    """What one poll found, told while the council waits.

    States: `ok` go on; `waiting` too hot, another poll follows; `gave_up` still too hot after
    `max_wait`; `no_sensor` nothing can be read (any more). All but `waiting` are the last report.
    """

    state: Literal["ok", "waiting", "gave_up", "no_sensor"]
    celsius: float | None = Field(description="the hottest device, as last read; degrees Celsius")
    device: str | None = Field(description="that device")
    limit: float = Field(description="degrees Celsius that start a wait")
    resume: float = Field(description="degrees Celsius that end it; never above `limit`")
    waited: float = Field(ge=0, description="seconds so far")
    remaining: float = Field(ge=0, description="seconds that may still be waited")


class ThermalOutcome(Record):
    """How a look at the temperatures ended; each of these lets the council go on.

    States: `ok` no wait was needed; `cooled` waited, then cool enough; `gave_up` waited `max_wait`
    in vain; `no_sensor` nothing could be read, or the hot device stopped answering.
    """

    state: Literal["ok", "cooled", "gave_up", "no_sensor"]
    celsius: float | None = Field(description="the hottest device at the end; degrees Celsius")
    device: str | None = Field(description="that device")
    waited: float = Field(ge=0, description="seconds")


def read_temperatures(hwmon_root: Path = HWMON) -> list[HeatReading]:
    """Read every GPU that answers.

    It blocks for as long as the drivers do: call it off the event loop. Whatever cannot be read (no
    driver, a lost device, a garbled file) is left out, and nothing is raised.

    Args:
        hwmon_root: the folder that holds one folder per hwmon chip.

    Returns:
        One reading a device, in degrees Celsius; empty where no GPU has a sensor.
    """
    lowest, highest = PLAUSIBLE
    readings = [*_nvml.read(), *_read_hwmon(hwmon_root)]
    return [reading for reading in readings if lowest <= reading.celsius <= highest]


def hottest(readings: Sequence[HeatReading]) -> HeatReading | None:
    """The reading with the most degrees, None when there is none."""
    return max(readings, key=lambda reading: reading.celsius, default=None)


LIMIT_VARIABLE = "GPU_TEMP_LIMIT"


def with_limit_of_environment(policy: Thermal, env: Mapping[str, str]) -> Thermal:
    """The policy with the limit that GPU_TEMP_LIMIT sets, where the council states none itself.

    A value that no GPU could have is not used.
    """
    if "limit" in policy.model_fields_set or not env.get(LIMIT_VARIABLE, "").strip():
        return policy
    try:
        degrees = float(env[LIMIT_VARIABLE])
    except ValueError:
        return policy
    if not 20 <= degrees <= 120:
        return policy
    # The same distance as between our own limit and its end.
    resume = max(degrees - 7, 10) if "resume" not in policy.model_fields_set else policy.resume
    return policy.model_copy(update={"limit": degrees, "resume": min(resume, degrees)})


async def cool_down(
    policy: Thermal,
    *,
    report: Callable[[ThermalReport], None],
    read: Callable[[], Sequence[HeatReading]] = read_temperatures,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
    read_timeout: float = READ_TIMEOUT,
) -> ThermalOutcome:
    """Wait until the hottest device is cool enough, as the policy has it.

    Above `limit` it waits until `resume` (`limit`, where that is lower), for `max_wait` at the
    most. While it waits, a device that does not answer counts as hot as it last was; after
    `LOST_AFTER` such polls in a row it is no longer waited for.

    Args:
        policy: the council's thermal section.
        report: called in the event loop with what each poll found.
        read: reads the temperatures; called in a thread.
        sleep: waits for so many seconds.
        clock: seconds, monotonic.
        read_timeout: seconds after which a reading that has not come counts as none.

    Raises:
        ThermalError: the policy says `then: stop`, and after `max_wait` a device is above `limit`.
            Between `resume` and `limit` a new question would not wait either, so it goes on.
    """
    start = clock()
    # Compared as a moment: a remainder too small to move the clock would be waited for for ever.
    deadline = start + policy.max_wait
    resume = min(policy.resume, policy.limit)
    watch = _Watch()

    while True:
        watch.note(await _off_loop(read, read_timeout))
        hot = watch.hottest()
        now = clock()
        waited, remaining = max(0.0, now - start), max(0.0, deadline - now)
        first = watch.polls == 1
        state = _judge(hot, policy.limit if first else resume, remaining)
        celsius, device = (hot.celsius, hot.device) if hot else (None, None)
        report(
            ThermalReport(
                state=state,
                celsius=celsius,
                device=device,
                limit=policy.limit,
                resume=resume,
                waited=waited,
                remaining=remaining,
            )
        )
        if state == "waiting":
            await sleep(min(policy.poll, remaining))
            continue
        if state == "gave_up" and policy.then == "stop" and hot and hot.celsius > policy.limit:
            raise ThermalError(_too_hot(hot, waited, policy.limit, resume))
        ended = "cooled" if state == "ok" and not first else state
        return ThermalOutcome(state=ended, celsius=celsius, device=device, waited=waited)


def _judge(
    hot: HeatReading | None, line: float, remaining: float
) -> Literal["ok", "waiting", "gave_up", "no_sensor"]:
    """What a poll means: `line` is cool enough, in degrees Celsius; `remaining` is in seconds."""
    if hot is None:
        return "no_sensor"
    if hot.celsius <= line:
        return "ok"
    return "waiting" if remaining > 0 else "gave_up"


class _Watch:
    """The devices of one wait, and for how many polls each has been silent.

    Without it the hottest of two GPUs could drop off the bus and the wait would end at once,
    because the other one is cool.
    """

    def __init__(self) -> None:
        self.polls = 0
        self._seen: dict[str, tuple[HeatReading, int]] = {}

    def note(self, readings: Sequence[HeatReading]) -> None:
        """Take in one poll."""
        self.polls += 1
        # Ascending, so that of two readings under one name the hotter stays.
        now = {r.device: (r, 0) for r in sorted(readings, key=lambda r: r.celsius)}
        for device, (reading, missed) in self._seen.items():
            if device not in now and missed + 1 < LOST_AFTER:
                now[device] = (reading, missed + 1)
        self._seen = now

    def hottest(self) -> HeatReading | None:
        """The hottest device that is known or lately was."""
        return hottest([reading for reading, _ in self._seen.values()])


async def _off_loop(
    read: Callable[[], Sequence[HeatReading]], seconds: float
) -> Sequence[HeatReading]:
    # A thread cannot be cancelled: one that hangs is left behind, and what it reads is dropped.
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.to_thread(read)
    except TimeoutError:
        return []


def _too_hot(hot: HeatReading, waited: float, limit: float, resume: float) -> str:
    return (
        f"{hot.device!r} is at {hot.celsius:g} °C after {waited:.0f} s of waiting (a wait starts "
        f"above {limit:g} °C and ends at {resume:g} °C). Improve its cooling, raise "
        "`thermal.limit` or `thermal.max_wait`, or set `thermal.then: proceed`."
    )


# NVML ---------------------------------------------------------------------------------------------


class _Nvml:
    """NVML, initialised at the first reading and kept: once per process, under one lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: ModuleType | None = None

    def read(self) -> list[HeatReading]:
        """Every device that answers."""
        # One reader at a time, and nobody queues for long behind one that its driver blocks: so a
        # hung GPU costs one thread, not one a question.
        if not self._lock.acquire(timeout=READ_TIMEOUT):
            return []
        try:
            return self._read()
        finally:
            self._lock.release()

    def _read(self) -> list[HeatReading]:
        self._started = nvml = self._started or _start_nvml()
        if nvml is None:
            return []
        try:
            count = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError:
            # Its driver was reloaded, or is gone: the next reading initialises it anew.
            self._started = None
            return []
        readings = (_read_nvml_device(nvml, index) for index in range(count))
        return [reading for reading in readings if reading is not None]


_nvml = _Nvml()


def _start_nvml() -> ModuleType | None:
    # A refusal is not remembered: a server may start before the driver does, and to ask again costs
    # a fraction of a millisecond.
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError, OSError):
        return None
    return nvml


def _read_nvml_device(nvml: ModuleType, index: int) -> HeatReading | None:
    try:
        device = nvml.nvmlDeviceGetHandleByIndex(index)
        celsius = _nvml_celsius(nvml, device)
    except (AttributeError, nvml.NVMLError):
        return None
    return HeatReading(celsius=celsius, device=_nvml_name(nvml, device, index), source="nvml")


def _nvml_celsius(nvml: ModuleType, device: object) -> float:
    sensor = nvml.NVML_TEMPERATURE_GPU
    try:
        return float(nvml.nvmlDeviceGetTemperatureV(device, sensor))
    except (AttributeError, nvml.NVMLError):
        # Older bindings and older drivers have only the call that newer ones deprecate.
        return float(nvml.nvmlDeviceGetTemperature(device, sensor))


def _nvml_name(nvml: ModuleType, device: object, index: int) -> str:
    try:
        name = nvml.nvmlDeviceGetName(device)
    except (nvml.NVMLError, UnicodeDecodeError):
        return f"GPU {index}"
    # Older bindings answer bytes.
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return f"{text} (GPU {index})"


# hwmon --------------------------------------------------------------------------------------------


def _read_hwmon(root: Path) -> list[HeatReading]:
    readings = (_read_chip(chip) for chip in _paths(root, "*"))
    return [reading for reading in readings if reading is not None]


def _read_chip(chip: Path) -> HeatReading | None:
    driver = _text(chip / "name")
    if driver not in GPU_CHIPS:
        return None
    sensors: dict[str, list[Path]] = {}
    for sensor in _paths(chip, "temp*_input"):
        label = _text(sensor.with_name(sensor.name.replace("_input", "_label"))) or ""
        sensors.setdefault(label.lower(), []).append(sensor)
    core = next((sensors[label] for label in CORE_LABELS if label in sensors), [])
    degrees = [celsius for celsius in map(_celsius, core) if celsius is not None]
    if not degrees:
        return None
    return HeatReading(celsius=max(degrees), device=f"{driver} {_address(chip)}", source="hwmon")


def _address(chip: Path) -> str:
    """The PCI address of the chip's device where the kernel links it, else the chip's own name."""
    device = chip / "device"
    return device.resolve().name if device.is_symlink() else chip.name


def _celsius(sensor: Path) -> float | None:
    try:
        return int(_text(sensor) or "") / 1000  # hwmon counts in thousandths of a degree
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    # Sensor files vanish with their device, and refuse to be read while it sleeps.
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _paths(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []
