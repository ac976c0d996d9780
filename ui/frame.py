"""The fence around the page: it talks to this server and to nobody else.

Model answers are text that nobody has read. `ui.safe` takes the images out of them; this is the
second fence, in the browser itself: a content security policy that forbids every other address.
The same script keeps the cookie by which a reader finds their threads again.

The look: what Streamlit's theme cannot say. Colours follow the theme, light or dark.

The frame that every page hangs in: the list of pages, the look, the fence around the browser.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from mom_council.ui import session

POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'"
)

# Nothing that a person or a model wrote comes in here: the reader is 32 hexadecimal digits.
_SCRIPT = """
<script>
(() => {{
  if (!document.getElementById("mom-fence")) {{
    const meta = document.createElement("meta");
    meta.id = "mom-fence";
    meta.httpEquiv = "Content-Security-Policy";
    meta.content = {policy!r};
    document.head.appendChild(meta);
  }}
  {cookie}
}})();
</script>
"""
_COOKIE = 'document.cookie = "{name}={reader}; path=/; max-age=31536000; SameSite=Strict";'


def put_up() -> None:
    """Put the policy and the cookie into the browser."""
    session.begin()
    reader = session.reader()
    known = reader.startswith("login:")
    cookie = "" if known else _COOKIE.format(name=session.COOKIE, reader=reader)
    with st.container(key="fence"):
        st.html(_SCRIPT.format(policy=POLICY, cookie=cookie), unsafe_allow_javascript=True)


# Not on a phone, where it would open the keyboard over the answer.
_FOCUS = """
<script>
(() => {{
  const moment = {moment!r};
  if (!matchMedia("(pointer: fine)").matches) return;
  let left = 20;  // the field may be drawn after this
  const timer = setInterval(() => {{
    const busy = document.activeElement && document.activeElement.matches("input, textarea");
    const field = document.querySelector('[data-testid="stChatInputTextArea"]');
    if (field && !field.disabled && !busy) field.focus({{preventScroll: true}});
    if (busy || --left === 0) clearInterval(timer);
  }}, 150);
}})();
</script>
"""


def focus(moment: str) -> None:
    """Put the cursor into the question's field, once a moment."""
    name = "".join(sign for sign in moment if sign.isalnum() or sign == "-")
    with st.container(key="fence-focus"):
        st.html(_FOCUS.format(moment=name), unsafe_allow_javascript=True)


# Drawn here: Streamlit fetches icons by name from a font server of its vendor's choice.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><g fill="#7c6cf0">'
    '<circle cx="16" cy="7" r="5"/><circle cx="7" cy="23" r="5"/><circle cx="25" cy="23" r="5"/>'
    '</g><path d="M16 7L7 23h18z" fill="none" stroke="#7c6cf0" stroke-width="2"/></svg>'
)

_CSS = """
<style>
.st-key-fence, .st-key-fence-focus { display: none; }
.block-container { padding-top: 2.5rem; padding-bottom: 1rem; max-width: 72rem; }
/* A card keeps its height while it fills, so that nothing below it jumps. */
[class*="st-key-card-"] { padding: 0.6rem 0.8rem; }
[class*="st-key-card-"] p, [class*="st-key-card-"] li { font-size: 0.88rem; }
/* What a model wrote stays in its box, however long its lines. */
[data-testid="stMarkdownContainer"] { overflow-wrap: anywhere; unicode-bidi: plaintext; }
[data-testid="stMarkdownContainer"] table { display: block; overflow-x: auto; max-height: 24rem; }
[data-testid="stMarkdownContainer"] .katex-display { overflow-x: auto; overflow-y: hidden; }
/* Redrawn four times a second: fading what is about to be redrawn would be flicker. */
[data-stale="true"], .stale-element { opacity: 1 !important; transition: none !important; }
[class*="st-key-text-"] { max-height: 15rem; overflow-y: auto; }
.mom-head { display: flex; justify-content: space-between; gap: 0.5rem; font-size: 0.95rem; }
.mom-head span, .mom-foot { opacity: 0.65; font-size: 0.78rem; }
.mom-foot { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.mom-speaking b { color: #7c6cf0; }
.mom-done b { color: #2f9e63; }
.mom-absent, .mom-absent b { color: #d2544b; }
.mom-waiting b { opacity: 0.6; }
.mom-steps { display: flex; flex-wrap: wrap; gap: 0.4rem; align-items: center; }
.mom-step { border-radius: 1rem; padding: 0.15rem 0.7rem; font-size: 0.82rem;
  background: color-mix(in srgb, currentColor 9%, transparent); }
.mom-step + .mom-step::before { content: "→ "; opacity: 0.5; }
.mom-now { background: color-mix(in srgb, #7c6cf0 30%, transparent); font-weight: 600; }
.mom-table { border-collapse: collapse; font-size: 0.82rem; width: 100%; margin: 0; }
.mom-table caption { caption-side: top; text-align: left; opacity: 0.65; font-size: 0.78rem; }
.mom-table td, .mom-table th { text-align: left; padding: 0.2rem 0.5rem 0.2rem 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 12%, transparent);
  vertical-align: top; overflow-wrap: anywhere; }
.mom-table th { font-weight: 600; opacity: 0.65; }
.mom-total td { font-weight: 600; }
.mom-bar { width: 50%; min-width: 6rem; vertical-align: middle !important; }
.mom-bar div { position: relative; height: 0.7rem; border-radius: 0.35rem;
  background: color-mix(in srgb, currentColor 10%, transparent); }
.mom-bar b { display: block; height: 100%; border-radius: 0.35rem; background: #7c6cf0; }
.mom-bar i { position: absolute; top: -0.2rem; bottom: -0.2rem; border-left: 2px solid #d2544b; }
/* Within reach however far the cards have grown. */
[class*="st-key-stop-"] { position: sticky; top: 3.5rem; z-index: 5; }
/* A button of a sign alone still has a name for those who hear the page. */
[class*="st-key-menu-"] button [data-testid="stMarkdownContainer"] { position: absolute;
  width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
@media (max-width: 640px) {
  [data-testid^="stChatMessageAvatar"] { display: none; }
  [data-testid="stChatMessage"] { padding-left: 0.2rem; padding-right: 0.2rem; }
  [class*="st-key-text-"] { max-height: 7.5rem; }
  .mom-costs th:nth-child(5), .mom-costs td:nth-child(5), .mom-costs th:nth-child(7),
  .mom-costs td:nth-child(7) { display: none; }
  .block-container { padding-left: 0.8rem; padding-right: 0.8rem; padding-top: 3rem; }
}
</style>
"""


def put_on() -> None:
    """Put the style sheet on the page."""
    st.html(_CSS)


class Entry(NamedTuple):
    """One line of the list of pages: a module of `ui.pages` whose `page()` draws it."""

    module: str
    title: str
    icon: str


PAGES = (
    Entry("chat", "Chat", ":material/forum:"),
    Entry("editor", "Council", ":material/groups:"),
    Entry("models", "Models", ":material/memory:"),
    Entry("traces", "Traces", ":material/account_tree:"),
    Entry("revote", "Re-vote", ":material/how_to_vote:"),
)


def show() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title="Mixture of Models", page_icon=ICON, layout="wide")
    put_on()
    put_up()
    session.begin()
    st.navigation([*_pages().values()]).run()


def go(module: str, **address: str) -> None:
    """Leave the page for another one; `address` is what its address says after the `?`."""
    st.switch_page(_pages()[module], query_params=address)


def _pages() -> dict[str, StreamlitPage]:
    return {
        entry.module: st.Page(
            _drawing(entry.module),
            title=entry.title,
            icon=entry.icon,
            url_path=entry.module,
            default=place == 0,
        )
        for place, entry in enumerate(PAGES)
        if importlib.util.find_spec(f"mom_council.ui.pages.{entry.module}")
    }


def _drawing(module: str) -> Callable[[], None]:
    def page() -> None:
        # Imported when it is opened: a page that nobody looks at costs nothing.
        importlib.import_module(f"mom_council.ui.pages.{module}").page()

    page.__name__ = module
    return page
