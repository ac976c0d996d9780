"""The fence around the page: it talks to this server and to nobody else.

Model answers are text that nobody has read. `ui.safe` takes the images out of them; this is the
second fence, in the browser itself: a content security policy that forbids every other address.
The same script keeps the cookie by which a reader finds their threads again.
"""

from __future__ import annotations

import streamlit as st

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
