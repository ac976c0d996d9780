"""A recording of a command in a terminal, as a moving SVG: `make recording`.

The command runs live in a terminal of its own; what it writes is drawn when it came.
Long waits are cut to a second, and lines that come together are drawn a moment apart.
"""

from __future__ import annotations

import html
import os
import pty
import re
import select
import sys
import tempfile
import time
from pathlib import Path

WIDTH, LINE, CHARACTER = 100, 18.0, 7.8
"""Characters of a line; pixels between lines, and of a character."""
_LONGEST, _SHORTEST, _AT_THE_END = 1.0, 0.22, 6.0
"""Seconds: the longest wait that is kept, the shortest between lines, how long the end is shown."""
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def record(arguments: list[str]) -> list[tuple[float, str]]:
    """Run `mom` in a terminal; every line, and the second in which it came."""
    with tempfile.TemporaryDirectory() as folder:
        child, terminal = pty.fork()
        if child == 0:  # pragma: no cover - another process
            quiet = {"MOM_DATA_DIR": folder, "OLLAMA_HOST": "127.0.0.1:9", "NO_COLOR": "1"}
            shape = {"TERM": "dumb", "COLUMNS": str(WIDTH)}
            mom = "from mom_council.cli import main; main()"
            command = [sys.executable, "-c", mom, *arguments]
            os.execve(sys.executable, command, {**os.environ, **quiet, **shape})
        began, lines, rest = time.monotonic(), [], ""
        while True:
            select.select([terminal], [], [])
            try:
                read = os.read(terminal, 65536)
            except OSError:  # Linux's way to say that nobody is left
                break
            if not read:
                break
            *whole, rest = (rest + _CONTROLS.sub("", read.decode("utf-8", "replace"))).split("\n")
            lines += [(time.monotonic() - began, line) for line in whole]
        os.waitpid(child, 0)
        return lines


def drawn(command: str, lines: list[tuple[float, str]]) -> str:
    """The recording as an SVG that plays by itself, again and again."""
    shown = [(0.0, f"$ {command}")]
    at, before = 0.8, lines[0][0] if lines else 0.0
    for second, text in lines:
        at += min(max(second - before, _SHORTEST), _LONGEST)
        before = second
        shown.append((at, text.rstrip()))
    whole = at + _AT_THE_END
    height, width = LINE * (len(shown) + 1.5), CHARACTER * WIDTH + 32
    rules, texts = [], []
    for number, (second, text) in enumerate(shown):
        share = 100 * second / whole
        rules.append(
            f"@keyframes l{number}{{0%,{share:.2f}%{{opacity:0}}"
            f"{share + 0.01:.2f}%,99%{{opacity:1}}100%{{opacity:0}}}}"
            f"#l{number}{{animation:l{number} {whole:.1f}s infinite}}"
        )
        kind = "c" if number == 0 else "a" if text.strip().startswith("Answer") else "t"
        y = LINE * (number + 1.5)
        spaced = html.escape(text).replace("  ", "\u00a0 ")
        texts.append(f'<text id="l{number}" class="{kind}" x="16" y="{y:.0f}">{spaced}</text>')
    style = (
        "text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre}"
        ".t{fill:#c9d1d9}.c{fill:#7ee787}.a{fill:#ffffff;font-weight:bold}"
        "@media (prefers-reduced-motion:reduce){text{animation:none!important;opacity:1!important}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'role="img" aria-label="{html.escape(command)} in a terminal">'
        f"<style>{style}{''.join(rules)}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>{"".join(texts)}</svg>\n'
    )


if __name__ == "__main__":
    target, *arguments = sys.argv[1:]
    Path(target).write_text(drawn(f"mom {arguments[0]}", record(arguments)), encoding="utf-8")
