"""The code that talks to vendors, and what it is given. A vendor's profile says which is its own.

The modules here are imported when they are first used, since each brings a vendor's library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from mom_council.councils.schema import Model
from mom_council.models import wire
from mom_council.vendors import Vendor, vendor_of

if TYPE_CHECKING:
    from mom_council.models.clients import LoopResources
    from mom_council.models.prices import Meter


@dataclass(frozen=True, slots=True)
class Opening:
    """A model that is to be opened, and everything that this takes."""

    spec: Model
    base_url: str | None
    """Where its server is, when not at the vendor's own address."""
    key: str | None
    """None: its server wants none."""
    params: Mapping[str, Any]
    """As the vendor takes them."""
    resources: LoopResources

    @property
    def vendor(self) -> Vendor:
        """Whose model it is."""
        return vendor_of(self.spec.provider)

    @property
    def address(self) -> str | None:
        """Where its server is; None where its library knows."""
        return self.base_url or self.vendor.base_url

    @property
    def has_wire(self) -> bool:
        """Whether its replies are streamed over our own wire (see `models.wire`)."""
        address = urlsplit(self.address or "")
        return self.vendor.thin_wire and wire.is_on() and address.username is None

    @property
    def at_home(self) -> bool:
        """Whether it is asked at its vendor's own address."""
        return self.vendor.is_at_home(self.base_url)


@dataclass(frozen=True, slots=True)
class ImageOrder:
    """What is to be drawn; what is None is left to whoever draws."""

    prompt: str
    negative: str = ""
    size: tuple[int, int] | None = None
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture that is to be drawn, and whom to tell."""

    opening: Opening
    order: ImageOrder
    meter: Meter
    on_step: Callable[[int, int], None]
    """Is called with the step and how many there are, where the drawing goes in steps."""


class DrawnPicture(NamedTuple):
    """A picture as it came out, before anybody has looked at it."""

    content: bytes
    seed: int | None
    filtered: bool = False


def load_code(place: str) -> Any:
    """The function that a profile names as `module:function`; its module is imported now.

    The module is one of this folder; with a dot in it, it is one of an installed package.
    """
    module, _, name = place.partition(":")
    path = module if "." in module else f"mom_council.models.providers.{module}"
    return getattr(import_module(path), name)
