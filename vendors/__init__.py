"""Vendors: one profile for each, and the table of all profiles.

There are only facts here, so that every package can read them: the council's rules, the importers,
the models, the interfaces. The code that talks to a vendor is in `models/providers/`; a profile
names it.

Installed packages add profiles by entry points of the group `mom_council.vendors`: see
docs/layout.md. A `provider` that is not in the table but that LangChain knows works too, with its
package installed and, unless its library finds its own key, `api_key_env` in the council.
"""

from __future__ import annotations

from mom_council.vendors.anthropic import ANTHROPIC
from mom_council.vendors.cohere import COHERE
from mom_council.vendors.compatible import AZURE, COMPATIBLE
from mom_council.vendors.deepseek import DEEPSEEK
from mom_council.vendors.google_genai import GOOGLE_GENAI
from mom_council.vendors.local import (
    CALLER,
    DIFFUSERS,
    EMBEDDED,
    HUGGINGFACE,
    HUMAN,
    MCP_HOST,
    REPLAY,
)
from mom_council.vendors.mistralai import MISTRALAI
from mom_council.vendors.ollama import OLLAMA
from mom_council.vendors.openai import OPENAI
from mom_council.vendors.profile import VENDORS, Exclusion, Params, Vendor, load_code, vendor_of

__all__ = ["VENDORS", "Exclusion", "Params", "Vendor", "load_code", "vendor_of"]

_OWN = {
    "ollama": OLLAMA,
    "embedded": EMBEDDED,
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "mistralai": MISTRALAI,
    "deepseek": DEEPSEEK,
    "cohere": COHERE,
    "google_genai": GOOGLE_GENAI,
    **COMPATIBLE,
    "azure": AZURE,
    "huggingface": HUGGINGFACE,
    "diffusers": DIFFUSERS,
    "replay": REPLAY,
    "human": HUMAN,
    "caller": CALLER,
    "mcp_host": MCP_HOST,
}

VENDORS.update(_OWN)
