"""Google's Gemini. LangChain opens it, and its library looks for the key by itself."""

from __future__ import annotations

from mom_council.vendors.profile import Vendor

GOOGLE_GENAI = Vendor(
    name="google_genai",
    title="Google Gemini",
    chat="langchain:open_chat",
    vision=r"gemini-[1-9]",
    profiled="gemini",
    files={"pdf": r"gemini-[1-9]", "audio": r"gemini-[1-9]"},
    says_end=False,
)
