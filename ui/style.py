"""The look: what Streamlit's theme cannot say. Colours follow the theme, light or dark."""

from __future__ import annotations

import streamlit as st

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
