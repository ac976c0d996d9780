"""A template of a stranger ends soon, writes little, and reaches nothing."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

from mom_council.errors import CouncilError
from mom_council.prompts import render

TEN = "abcdefghij"
ENDLESS = {
    "loops in loops": "{% for a in range(9999) %}{% for b in range(9999) %}"
    "{% endfor %}{% endfor %}",
    "loops over text": "{% for a in question %}{% for b in question %}{% for c in question %}"
    "{% endfor %}{% endfor %}{% endfor %}",
    "a range": "{% for a in range(10**10) %}{% endfor %}",
    "a range as a list": "{{ range(10**9) | list }}",
    "many ranges": "{% set ns = namespace(l=[]) %}{% for a in range(9999) %}"
    "{% set ns.l = ns.l + range(9999)|list %}{% endfor %}",
    "a macro that calls itself": "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}"
    "{% endmacro %}{{ m(60) }}",
    "a loop that calls itself": "{% for x in [[]] recursive %}{% for i in range(9) %}"
    "{% set o = loop %}{% endfor %}{{ loop([x, x]) }}{% endfor %}",
    "a repeated text": "{{ 'x' * 10**9 }}",
    "a repeated list": "{{ [1] * 10**9 }}",
    "a power": "{{ 10 ** 10 ** 7 }}",
    "powers of powers": "{{ 9999 ** 64 ** 64 }}",
    "a width": "{{ 'x' | center(10**9) }}",
    "a method's width": "{{ 'x'.center(10**9) }}",
    "zeros": "{{ 'x'.zfill(10**9) }}",
    "a format": "{{ '%999999999d' % 1 }}",
    "a format method": "{{ '{:>999999999}'.format(1) }}",
    "a format filter": "{{ '%999999999d' | format(1) }}",
    "an indent": "{{ ('\\n' ~ question) | indent(9999) | indent(9999) | indent(9999) }}",
    "words that are wrapped": "{{ question | wordwrap(1, wrapstring=question) }}",
    "a replacement": "{{ question | replace('', question) | replace('', question) }}",
    "a replacing method": "{{ question.replace('', question * 1) }}",
    "a join": "{{ ([question] * 9) | join(question) }}",
    "joined texts": "{% set a = question %}" + "{% set a = a ~ a %}" * 40 + "{{ a | length }}",
    "added texts": "{% set a = question %}" + "{% set a = a + a %}" * 40 + "{{ a | length }}",
    "captured texts": "{% set a %}{{ question }}{% endset %}"
    + "{% set a %}{{ a }}{{ a }}{% endset %}" * 40
    + "{{ a | length }}",
    "nested lists": "{% set a = [question] %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
    "nested lists as text": "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a | tojson }}",
    "added lists": "{% set a = [1] %}" + "{% set a = a + a %}" * 40 + "{{ a | length }}",
    "lorem ipsum": "{{ lipsum(n=10**8) }}",
    "rounding": "{{ 1.5 | round(10**9) }}",
    "sums of lists": "{{ [[1], [2]] | sum(start=[]) }}",
    "plain text in a loop": "{% for a in range(9999) %}" + TEN * 2_000 + "{% endfor %}",
    "plain text in a macro": "{% macro m() %}" + TEN * 9_000 + "{% endmacro %}"
    "{% set ns = namespace(t=0) %}{% for a in range(9999) %}{% set x = m() %}{% endfor %}",
    "a filter by name": "{{ ['x'] | map('center', 10**9) | list }}",
    "padding by batches": "{{ [1] | batch(10**9, question) | list }}",
}
REACHING = {
    "a class": "{{ question.__class__ }}",
    "Python by a class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "Python by a macro": "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "Python by a cycler": "{{ cycler.__init__.__globals__ }}",
    "a file": "{% include '/etc/passwd' %}",
    "another template": "{% extends 'synthesizer' %}",
    "the context": "{{ self.__init__ }}",
    "an attribute by a filter": "{{ question | attr('__class__') }}",
}
WRONG = {
    "a division by nothing": "{{ 1 / 0 }}",
    "a number that is none": "{{ 'a' - 1 }}",
    "a missing name": "{{ nobody }}",
    "an open loop": "{% for a in [1] %}",
    "deep loops": "{% for a in [1] %}" * 40 + "{% endfor %}" * 40,
    "deep brackets": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "a filter that is none": "{{ question | nothing }}",
}


def prompt(folder: Path, text: str) -> str:
    """What the character is asked by a template."""
    (folder / "character.md").write_text(f"<!-- system -->\n<!-- user -->\n{text}", "utf-8")
    return render("character", style=str(folder), question="Why? " * 2_000).user


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_a_template_that_takes_too_much_is_stopped(tmp_path: Path, text: str) -> None:
    began = time.thread_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CouncilError, match="does not render"):
        prompt(tmp_path, text)
    assert time.thread_time() - began < 10, "CPU time of this thread, not of the machine"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000, "kB"


@pytest.mark.parametrize("text", [*REACHING.values(), *WRONG.values()], ids=[*REACHING, *WRONG])
def test_a_template_reaches_nothing_and_its_mistakes_are_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(CouncilError) as refused:
        prompt(tmp_path, text)
    assert "root:" not in str(refused.value)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    secret, folder = tmp_path / "secret", tmp_path / "prompts"
    secret.write_text("<!-- system -->\n<!-- user -->\nhunter2", "utf-8")
    folder.mkdir()
    (folder / "character.md").symlink_to(secret)
    with pytest.raises(CouncilError, match="leads out of its folder") as refused:
        render("character", style=str(folder), question="Why?")
    assert "hunter2" not in str(refused.value)


USUAL = {
    "{% for a in [1, 2] %}{{ loop.index }}{{ a }};{% endfor %}": "11;22;",
    "{{ question.split()[0] | upper | replace('?', '!') }}": "WHY!",
    "{{ ['a', 'b'] | join(', ') }} {{ 'a' ~ 1 ~ 'b' }}": "a, b a1b",
    "{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{{ m(2) }}": "<1><2>",
    "{{ [3, 1, 2] | sort | first }} {{ 2 + 3 * 4 - 1 }} {{ 7 // 2 }} {{ [1, 2] | sum }}": (
        "1 13 3 3"
    ),
    "{% for n in [[1], [2]] %}{{ loop.length }}{% for m in n %}{{ m }}{% endfor %}{% endfor %}": (
        "2122"
    ),
    "{% set a = [] + ([1] | list) %}{{ a[0] }}{{ 'x' if a else 'y' }}": "1x",
    "{{ {'a': 1}.items() | list | length }} {{ 'abcdefghijk' | truncate(2, True, '') }}": "1 ab",
}


@pytest.mark.parametrize(("text", "written"), USUAL.items())
def test_what_templates_are_made_of_still_works(tmp_path: Path, text: str, written: str) -> None:
    assert prompt(tmp_path, text) == written
