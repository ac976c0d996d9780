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
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from mom_council.ui import safe, session

LONGEST = 100_000
"""Characters of a question; more than a council's models read."""

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
  if (window.momListens) return;
  window.momListens = true;
  // One click copies; the button says so for a moment.
  document.addEventListener("click", async (event) => {{
    const button = event.target.closest && event.target.closest(".mom-copy[data-text]");
    if (!button) return;
    const text = button.dataset.text;
    try {{
      await navigator.clipboard.writeText(text);
    }} catch {{
      const area = document.createElement("textarea");
      area.value = text;
      document.body.appendChild(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }}
    button.textContent = "Copied";
    setTimeout(() => {{ button.textContent = "Copy"; }}, 1500);
  }});
  // The keys; letters count only where nobody writes.
  const showKeys = () => {{
    const list = document.getElementById("mom-keys") || document.createElement("dialog");
    if (!list.id) {{
      list.id = "mom-keys";
      list.ariaLabel = "Keyboard";
      for (const [key, what] of {keys}) {{
        const line = list.appendChild(document.createElement("p"));
        line.appendChild(document.createElement("kbd")).textContent = key;
        line.append(" " + what);
      }}
      // Esc closes the list; it must not stop the question too.
      list.addEventListener("keydown", (event) => event.stopPropagation());
      list.addEventListener("click", () => list.close());
      document.body.appendChild(list);
    }}
    if (!list.open) list.showModal();
  }};
  document.addEventListener("click", (event) => {{
    if (event.target.closest && event.target.closest(".mom-show-keys")) showKeys();
  }});
  document.addEventListener("keydown", (event) => {{
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const writes = event.target.closest && event.target.closest("input, textarea, select, dialog");
    const field = document.querySelector('[data-testid="stChatInputTextArea"]');
    if (writes) {{
      if (event.key === "Escape" && writes === field) field.blur();
      return;
    }}
    const begin = document.querySelector(".st-key-new-thread button");
    if (event.key === "?") showKeys();
    else if (event.key === "/" && field) field.focus();
    else if (event.key === "n" && begin) begin.click();
    else return;
    event.preventDefault();
  }});
  // Streamlit scrolls to the end while a page grows: the text would move under the reader.
  const still = (main) => {{
    const own = Object.getOwnPropertyDescriptor(Element.prototype, "scrollTop");
    Object.defineProperty(main, "scrollTop", {{get: own.get, set: () => {{}}, configurable: true}});
    main.dataset.still = "yes";
  }};
  // Where the server is gone, Streamlit asks about the internet, or for a script that nobody has.
  const sayGone = () => {{
    for (const part of document.querySelectorAll('[role="dialog"] :is(code, :not(:has(*)))')) {{
      if (/Streamlit server is not resp|Is Streamlit still running/.test(part.textContent)) {{
        part.textContent = "Mixture of Models does not answer any more. Everything that was asked "
          + "and answered is kept. To go on, start it again in the terminal: mom ui";
      }} else if (/^streamlit run/.test(part.textContent)) part.textContent = "mom ui";
    }}
  }};
  // Streamlit's containers have no roles: how far a question has got is to be heard.
  const heard = () => {{
    document.querySelectorAll('[class*="st-key-progress-"]:not([role])')
      .forEach((line) => {{ line.setAttribute("role", "status"); line.ariaLive = "polite"; }});
    document.querySelectorAll(".stMain:not([data-still])").forEach(still);
    sayGone();
  }};
  heard();
  new MutationObserver(heard).observe(document.body, {{childList: true, subtree: true}});
  // A text that is too long for the field would vanish without a word.
  document.addEventListener("paste", (event) => {{
    const field = event.target;
    const text = event.clipboardData && event.clipboardData.getData("text");
    if (!field.matches || !field.matches('[data-testid="stChatInputTextArea"]') || !text) return;
    const room = {longest} - field.value.length;
    const old = document.getElementById("mom-too-long");
    if (old) old.remove();
    if (text.length <= room) return;
    event.preventDefault();
    event.stopPropagation();
    const note = document.createElement("div");
    note.id = "mom-too-long";
    note.setAttribute("role", "alert");
    note.textContent = `This text has ${{text.length.toLocaleString("en")}} characters; ` +
      `a question may have {longest:,}. Nothing was pasted.`;
    field.closest('[data-testid="stChatInput"]').before(note);
    setTimeout(() => note.remove(), 15000);
  }}, true);
}})();
</script>
"""
KEYS = (
    ("Enter", "asks the question"),
    ("Shift+Enter", "begins a new line of it"),
    ("Esc", "stops the council; in the field: leaves the field"),
    ("/", "goes to the field"),
    ("n", "begins a new conversation"),
    ("?", "shows this list"),
)
"""Keys of the chat page, and what each does."""
_COOKIE = 'document.cookie = "{name}={reader}; path=/; max-age=31536000; SameSite=Strict";'


def put_up() -> None:
    """Put the policy and the cookie into the browser."""
    session.begin()
    reader = session.reader()
    has_login = reader.startswith("login:")
    cookie = "" if has_login else _COOKIE.format(name=session.COOKIE, reader=reader)
    with st.container(key="fence"):
        script = _SCRIPT.format(
            policy=POLICY, cookie=cookie, longest=LONGEST, keys=json.dumps(KEYS)
        )
        st.html(script, unsafe_allow_javascript=True)


# Not on a phone, where it would open the keyboard over the answer.
_FOCUS = """
<script>
(() => {{
  const thread = {thread!r}, state = {state!r};
  // A question that was just asked, or a conversation that was just opened, begins at the top;
  // afterwards nobody but the reader scrolls.
  const before = window.momPlace || [];
  window.momPlace = [thread, state];
  if (thread !== before[0] || (state.startsWith("running") && state !== before[1])) {{
    let tries = 20;
    const wait = setInterval(() => {{
      const turn = document.querySelector('[class*="st-key-turn-last-"]');
      if (turn) turn.scrollIntoView({{block: "start"}});
      if (turn || --tries === 0) clearInterval(wait);
    }}, 100);
  }}
  // Not on a phone, where it would open the keyboard over the answer.
  if (!matchMedia("(pointer: fine)").matches) return;
  let left = 200;  // the field may be drawn after this, on a busy machine long after
  const timer = setInterval(() => {{
    const busy = document.activeElement && document.activeElement.matches("input, textarea");
    const field = document.querySelector('[data-testid="stChatInputTextArea"]');
    if (field && !field.disabled && !busy) field.focus({{preventScroll: true}});
    if (busy || --left === 0) clearInterval(timer);
  }}, 150);
}})();
</script>
"""


def focus(thread: str, state: str) -> None:
    """Bring the last question to the top and the cursor into the field, once for each state."""
    script = _FOCUS.format(thread=_letters(thread), state=_letters(state))
    with st.container(key="fence-focus"):
        st.html(script, unsafe_allow_javascript=True)


def _letters(text: str) -> str:
    return "".join(sign for sign in text if sign.isalnum() or sign in "-_.")


# Drawn here: Streamlit fetches icons by name from a font server of its vendor's choice.
MARK = (Path(__file__).parent / "mark.svg").read_text(encoding="utf-8")
"""The product's mark, as SVG."""
NAME = "Mixture of Models"


def _wordmark() -> str:
    """The mark and the name beside it, in the theme's ink."""
    ink = "#eceaf4" if st.context.theme.type == "dark" else "#1f1e2c"
    inner = MARK[MARK.index(">") + 1 : MARK.rindex("</svg>")]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 208 32">{inner}'
        f'<text x="42" y="22" fill="{ink}" font-family="Source Sans, sans-serif" font-size="17" '
        f'font-weight="700">{NAME}</text></svg>'
    )


_CSS = """
<style>
.st-key-fence, .st-key-fence-focus { display: none; }
.block-container { padding-top: 4.5rem; padding-bottom: 1rem; max-width: 76rem; }
[data-testid="stBottomBlockContainer"] { max-width: 76rem; padding-bottom: 1.2rem; }
.block-container, [data-testid="stBottomBlockContainer"] {
  padding-left: 2.5rem; padding-right: 2.5rem; }
[data-testid="stMarkdownContainer"] { overflow-wrap: break-word; unicode-bidi: plaintext; }
/* What a model wrote stays in its box, however long its lines; words of a table stay whole. */
[data-testid="stMarkdownContainer"] table { display: block; overflow-x: auto; max-height: 24rem; }
[data-testid="stMarkdownContainer"] td, [data-testid="stMarkdownContainer"] th {
  overflow-wrap: normal; word-break: normal; }
[data-testid="stMarkdownContainer"] .katex-display { overflow-x: auto; overflow-y: hidden; }
[class*="st-key-answer-"] [data-testid="stMarkdownContainer"],
[class*="st-key-question-"] [data-testid="stMarkdownContainer"] { max-width: 70ch; }
[data-testid="stChatMessage"] h1, .st-key-whole-answer h1 { font-size: 1.35rem; }
[data-testid="stChatMessage"] h2, .st-key-whole-answer h2 { font-size: 1.2rem; }
[data-testid="stChatMessage"] :is(h3, h4, h5, h6),
.st-key-whole-answer :is(h3, h4, h5, h6) { font-size: 1.05rem; }
[data-testid="stChatMessage"] { padding-left: 0; padding-right: 0; background: transparent; }
[data-testid^="stChatMessageAvatar"] { display: none; }
[class*="st-key-question-"] { background: color-mix(in srgb, var(--mom-accent) 9%, transparent);
  border-radius: 0.9rem; padding: 0.6rem 1rem; width: fit-content; max-width: 100%; }
.st-key-welcome h1 { font-size: 2.1rem; padding-top: 0; }
.mom-hero { margin-bottom: 0.4rem; }
.mom-hero p { margin: 0; max-width: 38rem; }
.mom-hero h1 { margin: 0; }
.mom-seats { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr));
  gap: 0.6rem; }
.mom-seat { display: flex; gap: 0.7rem; padding: 0.7rem 0.8rem; border-radius: 0.7rem;
  border: 1px solid color-mix(in srgb, currentColor 14%, transparent); min-width: 0; }
.mom-seat .mom-face { width: 1.9rem; height: 1.9rem; font-size: 1rem; }
.mom-seat > div { min-width: 0; }
.mom-seat p { margin: 0.1rem 0 0 0; font-size: 0.84rem; line-height: 1.35; color: var(--mom-quiet);
  overflow: hidden; display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; }
.mom-seat p.mom-absent { color: var(--mom-bad); }
[class*="st-key-suggestion-"] button, [class*="st-key-suggestion-"] button > div {
  justify-content: flex-start; text-align: left; }
[class*="st-key-suggestion-"] button { height: 100%; padding: 0.7rem 0.9rem; }
[class*="st-key-suggestion-"] button p { white-space: normal; overflow-wrap: break-word; }
[class*="st-key-suggestion-"] { height: 100%; }
[class*="st-key-thread-"] button, [class*="st-key-thread-"] button > div {
  justify-content: flex-start; text-align: left; }
/* Room below the last question, so that it can stand at the top while its answer grows. */
[class*="st-key-turn-last-"] { min-height: calc(100vh - 4rem); scroll-margin-top: 4rem; }
/* Redrawn four times a second: fading what is about to be redrawn would be flicker. */
[class*="st-key-turn-last-"] :is([data-stale="true"], .stale-element),
[class*="st-key-turn-last-"]:is([data-stale="true"], .stale-element) {
  opacity: 1 !important; transition: none !important; }
.mom-progress { height: 1.5rem; line-height: 1.5rem; font-size: 0.9rem; font-weight: 600;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.mom-progress.mom-now { color: var(--mom-accent); }
.mom-panel { font-size: 0.86rem; }
.mom-panel button { font: inherit; color: inherit; background: none; border: 0; cursor: pointer; }
.mom-panel button:disabled { cursor: default; }
.mom-steps { display: flex; flex-wrap: wrap; gap: 0.3rem; margin-bottom: 0.5rem; }
.mom-steps:empty { display: none; }
.mom-panel .mom-step { padding: 0.1rem 0.7rem; border-radius: 1rem; font-size: 0.8rem;
  border: 1px solid color-mix(in srgb, currentColor 18%, transparent); }
.mom-panel .mom-step[aria-pressed="true"] { font-weight: 600; border-color: var(--mom-accent);
  background: color-mix(in srgb, var(--mom-accent) 12%, transparent); }
.mom-panel .mom-step:disabled { opacity: 0.65; }
.mom-panel .mom-member { display: flex; align-items: center; gap: 0.5rem; width: 100%;
  padding: 0.4rem 0.3rem; border-radius: 0.5rem; text-align: left; min-height: 2.3rem; }
.mom-panel .mom-member:not(:disabled):hover {
  background: color-mix(in srgb, currentColor 7%, transparent); }
.mom-who { font-weight: 600; white-space: nowrap; }
.mom-words { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  color: var(--mom-quiet); }
.mom-tail .mom-words { display: flex; justify-content: flex-end; text-overflow: clip; }
.mom-side { flex: none; font-size: 0.78rem; color: var(--mom-quiet); min-width: 2rem;
  text-align: right; font-variant-numeric: tabular-nums; }
.mom-member.mom-waiting > * { opacity: 0.75; }
.mom-member.mom-speaking .mom-face { animation: mom-pulse 1.6s ease-in-out infinite; }
.mom-member.mom-absent .mom-face { background: none; color: var(--mom-bad);
  border: 1.5px solid var(--mom-bad); }
.mom-member.mom-absent :is(.mom-words, .mom-side) { color: var(--mom-bad); }
@keyframes mom-pulse { 50% { box-shadow: 0 0 0 4px
  color-mix(in srgb, var(--mom-accent) 35%, transparent); } }
@media (prefers-reduced-motion: reduce) { .mom-member .mom-face { animation: none !important; } }
.mom-note { color: var(--mom-quiet); font-size: 0.8rem; }
.mom-note:not(:empty) { margin-top: 0.3rem; }
.mom-options:not(:empty) { margin-top: 0.7rem; padding-top: 0.6rem;
  border-top: 1px solid color-mix(in srgb, currentColor 14%, transparent); }
.mom-option { display: grid; grid-template-columns: 1fr auto auto; gap: 0.15rem 0.5rem;
  align-items: center; margin-bottom: 0.5rem; }
.mom-answer { font-weight: 600; overflow-wrap: break-word; min-width: 0; }
.mom-option .mom-bar { grid-column: 1 / -1; }
.mom-share { font-variant-numeric: tabular-nums; }
.mom-faces { display: inline-flex; flex-wrap: wrap; gap: 0.15rem; vertical-align: middle; }
.mom-faces:empty { display: none; }
.mom-faces .mom-face { width: 1.05rem; height: 1.05rem; font-size: 0.62rem; }
.mom-panel .mom-verdict { font-size: inherit; margin: 0.2rem 0 0.5rem 0; color: var(--mom-quiet); }
.mom-panel .mom-verdict:empty { display: none; }
.mom-fold { border-top: 1px solid color-mix(in srgb, currentColor 14%, transparent); }
.mom-fold summary { cursor: pointer; padding: 0.45rem 0.3rem; font-weight: 600; }
.mom-panel .mom-fold ul { list-style: none; margin: 0; padding: 0 0.3rem 0.5rem 0.3rem; }
.mom-panel .mom-fold li { margin: 0 0 0.45rem 0; padding: 0; overflow-wrap: break-word; }
.mom-fold li .mom-faces { margin-right: 0.35rem; }
.mom-face { flex: none; width: 1.35rem; height: 1.35rem; border-radius: 50%; color: #fff;
  font-size: 0.78rem; font-weight: 700; display: grid; place-items: center; }
.mom-c0 { background: #5b4bd6; } .mom-c1 { background: #0b7285; } .mom-c2 { background: #a8480a; }
.mom-c3 { background: #2b6f3a; } .mom-c4 { background: #a8256f; } .mom-c5 { background: #1c5fb8; }
.mom-c6 { background: #77600a; } .mom-c7 { background: #5c5f66; }
:root { --mom-accent: #4f3fc9; --mom-quiet: #5f636b; --mom-good: #1f7a44; --mom-bad: #b3362d; }
/* dark */
.mom-absent { color: var(--mom-bad); }
[data-testid="stCaptionContainer"] { opacity: 1; color: var(--mom-quiet); }
[data-testid="stCaptionContainer"] * { opacity: 1; }
.mom-table { border-collapse: collapse; font-size: 0.82rem; width: 100%; margin: 0;
  display: block; overflow-x: auto; }
.mom-table td, .mom-table th { text-align: left; padding: 0.2rem 0.6rem 0.2rem 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 12%, transparent);
  vertical-align: top; white-space: nowrap; }
.mom-table th { font-weight: 600; color: var(--mom-quiet); }
.mom-total td { font-weight: 600; }
.mom-bar { position: relative; height: 0.55rem; border-radius: 0.35rem; margin-top: 0.1rem;
  background: color-mix(in srgb, currentColor 10%, transparent); }
.mom-bar b { display: block; height: 100%; border-radius: 0.35rem; background: #7c6cf0; }
.mom-bar i { position: absolute; top: -0.15rem; bottom: -0.15rem; border-left: 2px solid #d2544b; }
.mom-ballots { list-style: none; padding: 0 !important; margin: 0.3rem 0 0 0 !important;
  font-size: 0.84rem; }
[class*="st-key-candidate-"] { max-height: 16rem; overflow-y: auto; }
.mom-ballots li { margin: 0 0 0.2rem 0 !important; padding: 0 !important;
  overflow-wrap: break-word; }
.mom-ballots summary { cursor: pointer; }
#mom-keys { border: 0; border-radius: 0.9rem; padding: 1rem 1.4rem; font-family: inherit;
  box-shadow: 0 0.5rem 2rem #0005; background: Canvas; color: CanvasText; }
#mom-keys::backdrop { background: #0004; }
#mom-keys p { margin: 0.5rem 0; display: flex; gap: 0.5rem; }
#mom-keys kbd { flex: none; width: 7rem; font-weight: 600; }
.mom-count { font-size: 0.875rem; font-variant-numeric: tabular-nums; }
.mom-copy { font: inherit; font-size: 0.875rem; color: inherit; background: none; border: 0;
  cursor: pointer;
  padding: 0.4rem 0.6rem; border-radius: 0.5rem; white-space: nowrap; }
.mom-copy:hover { background: color-mix(in srgb, currentColor 8%, transparent); }
:is(.mom-copy, .mom-ballots summary,
.mom-fold summary, .mom-member, .mom-step,
[data-testid="stSidebarNavLink"],
[data-testid="stTopNavLink"]):focus-visible {
  outline: 2px solid var(--mom-accent); outline-offset: 1px; }
/* A button of a sign alone still has a name for those who hear the page. */
:is([class*="st-key-menu-"], [class*="st-key-chevron_"]) button
[data-testid="stMarkdownContainer"] { position: absolute;
  width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
@media (max-width: 640px) {
  .block-container, [data-testid="stBottomBlockContainer"] {
    padding-left: 0.8rem; padding-right: 0.8rem; }
  .block-container { padding-top: 3.5rem; }
  .mom-progress { height: 3rem; white-space: normal; }
  .mom-seats { grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); }
}
</style>
"""


_DARK = """:root { --mom-accent: #b3a8ff; --mom-quiet: #a9adb6;
  --mom-good: #6fd394; --mom-bad: #ff9b92; }
#mom-keys { color-scheme: dark; }
/* White letters are not read on the light accent of the dark theme. */
:is([data-testid="stBaseButton-primary"], [data-testid="stBaseButton-primaryFormSubmit"]) {
  background-color: #6a58e0; border-color: #6a58e0; }"""


def put_on() -> None:
    """Put the style sheet on the page."""
    is_dark = st.context.theme.type == "dark"
    st.html(_CSS.replace("/* dark */", _DARK) if is_dark else _CSS)


def draw_copy(text: str) -> None:
    """A button that copies a text by one click."""
    # `_SCRIPT` listens for it; the text stands in the button itself.
    st.html(
        f'<button class="mom-copy" type="button" data-text="{safe.plain(text)}">Copy</button>',
        width="content",
    )


def draw_keys() -> None:
    """A button that shows what each key does; `_SCRIPT` listens for it."""
    st.html(
        '<button class="mom-copy mom-show-keys" type="button">Keyboard</button>', width="content"
    )


class PageEntry(NamedTuple):
    """One line of the list of pages: a module of `ui.pages` whose `page()` draws it."""

    module: str
    title: str
    icon: str


PAGES = (
    PageEntry("chat", "Chat", ":material/forum:"),
    PageEntry("editor", "Council", ":material/groups:"),
    PageEntry("models", "Models", ":material/memory:"),
    PageEntry("traces", "Traces", ":material/account_tree:"),
    PageEntry("revote", "Re-vote", ":material/how_to_vote:"),
)


def show() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title=NAME, page_icon=MARK, layout="wide")
    st.logo(_wordmark(), size="large", icon_image=MARK)
    put_on()
    put_up()
    session.begin()
    st.navigation([*_pages().values()], position="top").run()


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
