"""Sameness in mathematics: equal in value is equal, whatever the form; in doubt different."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from mom_council.voting.reading import group_equal, read_answer, same_answer
from mom_council.voting.reading.computer_algebra import are_equal

SAME = [
    (r"x > \sqrt{2}", r"\sqrt{2} < x"),
    (r"x \ge \pi", r"[\pi, \infty)"),
    (r"-\sqrt{2} < x < \sqrt{2}", r"x < \sqrt{2} \text{ and } x > -\sqrt{2}"),
    (r"x < -\sqrt{3} \text{ or } x > \sqrt{3}", r"(-\infty,-\sqrt3)\cup(\sqrt3,\infty)"),
    (r"\sqrt{8}", r"2\sqrt{2}"),
    (r"2^{10}", r"1024"),
    (r"3+4i", r"4i+3"),
    (r"x > 2", r"2 < x"),
    (r"x>2", r"(2,\infty)"),
    (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}"),
    (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt 3}"),
    (r"(x+1)^2", r"x^2+2x+1"),
    (r"\sin^2 x + \cos^2 x", r"1"),
    (r"\ln(e^2)", r"2"),
    (r"\log_2 8", r"3"),
    (r"\log_{10} 100", r"2"),
    (r"5!", r"120"),
    (r"\binom{5}{2}", r"10"),
    (r"e^{i\pi}", r"-1"),
    (r"\frac{2}{4}", r"0.5"),
    (r"0.\overline{3}", r"\frac{1}{3}"),
    (r"50\%", r"0.5"),
    (r"1.5 \times 10^3", r"1500"),
    (r"\pi/2", r"\frac{\pi}{2}"),
    (r"\{1,2,3\}", r"\{3,2,1\}"),
    (r"[0,1)\cup(2,3]", r"(2,3]\cup[0,1)"),
    (r"x=2", r"2"),
    (r"x \in \{1,2\}", r"x=1 \text{ or } x=2"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1 & 2\\ 3 & 4\end{bmatrix}"),
    (r"\sqrt[3]{27}", r"3"),
    (r"27^{1/3}", r"3"),
    (r"2\pm\sqrt{3}", r"2+\sqrt3, 2-\sqrt3"),
    (r"\frac{a+b}{2}", r"\frac{1}{2}(a+b)"),
    (r"\sqrt{x^2}", r"|x|"),
    (r"\tan(\pi/4)", r"1"),
    (r"\cos(60^\circ)", r"\frac12"),
    (r"y=2x+1", r"y-1=2x"),
    (r"-1 \le x \le 1", r"[-1,1]"),
    (r"x\ge 3 ", r"[3,\infty)"),
    (r"a^2-b^2", r"(a-b)(a+b)"),
    (r"\frac{x^2-1}{x-1}", r"x+1"),
    (r"\lfloor 3.7\rfloor", r"3"),
    (r"\gcd(12,18)", r"6"),
    (r"e^{\ln 5}", r"5"),
    (r"2\ln 3", r"\ln 9"),
    (r"\sqrt{12}+\sqrt{27}", r"5\sqrt{3}"),
    (r"\frac{1}{1+i}", r"\frac{1-i}{2}"),
    (r"|3+4i|", r"5"),
    (r"i^2", r"-1"),
    (r"10^{-3}", r"0.001"),
    (r"\frac{22}{7}", r"3\frac{1}{7}"),
    (r"(1,2)", r"(1, 2)"),
    (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2"),
    (r"\frac{\sqrt{6}+\sqrt{2}}{4}", r"\cos 15^\circ"),
    (r"x^{1/2}", r"\sqrt{x}"),
    (r"\emptyset", r"\{\}"),
    (r"2x>4", r"x>2"),
    (r"x\neq 0", r"x \ne 0"),
    (r"\mathbb{R}", r"(-\infty,\infty)"),
    (r"-\frac{1}{2}", r"\frac{-1}{2}"),
    (r"\frac{1}{-2}", r"-0.5"),
    (r"3x+2y=6", r"y = 3 - \frac{3}{2}x"),
    (r"\sqrt{2}^{2}", r"2"),
    (r"\arctan 1", r"\frac{\pi}{4}"),
    (r"\log 2 + \log 5", r"1"),
    (r"x<2", r"x<2"),
    (r"(-\infty,2)\cup(3,\infty)", r"x<2 \text{ or } x>3"),
    (r"[-2,7]", r"-2\le x\le 7"),
    (r"12\text{ cm}", r"12"),
    (r"30^\circ", r"30"),
    (r"\sqrt{50}", r"5\sqrt{2}"),
    (r"\sqrt[3]{54}", r"3\sqrt[3]{2}"),
    (r"4^{3/2}", r"8"),
    (r"8^{-\frac{1}{3}}", r"\frac12"),
    (r"(2+3i)(2-3i)", r"13"),
    (r"i^3", r"-i"),
    (r"\frac{3+i}{2}", r"1.5+0.5i"),
    (r"-2i+1", r"1-2i"),
    (r"5 > x", r"x < 5"),
    (r"-x < 3", r"x > -3"),
    (r"1 < 2x < 6", r"(1/2, 3)"),
    (r"x \leq 4 \text{ and } x > 1", r"1 < x \le 4"),
    (r"\{x : x > 2\}", r"x>2"),
    (r"\{x \mid 1<x<2\}", r"(1,2)"),
    (r"x \in (1,2)", r"1<x<2"),
    (r"\log_3 81", r"4"),
    (r"\log_{2}(x^2)", r"2\log_2 |x|"),
    (r"\ln\sqrt{e}", r"\frac12"),
    (r"\cos^2\theta", r"1-\sin^2\theta"),
    (r"2\sin x\cos x", r"\sin 2x"),
    (r"\sin\frac{\pi}{6}", r"\frac{1}{2}"),
    (r"\tan 60^\circ", r"\sqrt3"),
    (r"\sec(0)", r"1"),
    (r"\binom{6}{2}", r"15"),
    (r"\frac{6!}{4!}", r"30"),
    (r"3! + 2!", r"8"),
    (r"\lceil 2.1 \rceil", r"3"),
    (r"\lfloor -2.5 \rfloor", r"-3"),
    (r"\text{lcm}(4,6)", r"12"),
    (r"\operatorname{gcd}(8,12)", r"4"),
    (r"0.1\overline{6}", r"\frac16"),
    (r"0.\overline{142857}", r"1/7"),
    (r"12.5\%", r"\frac18"),
    (r"3.2\times10^{-4}", r"0.00032"),
    (r"6.02e23", r"6.02 \times 10^{23}"),
    (r"1{,}234", r"1234"),
    (r"\frac{x+1}{2}", r"\frac{x}{2}+\frac12"),
    (r"x(x+1)", r"x^2+x"),
    (r"(x-2)(x-3)=0", r"x^2-5x+6=0"),
    (r"y=\frac{1}{2}x+1", r"2y=x+2"),
    (r"x^2+y^2=25", r"y^2+x^2=5^2"),
    (r"f(x)=x^2", r"x^2"),
    (r"\begin{pmatrix}\frac12\\0\end{pmatrix}", r"\begin{pmatrix}0.5\\0\end{pmatrix}"),
    (r"(\frac12, 3)", r"(0.5, 3)"),
    (r"\{\frac12, 2\}", r"\{2, 0.5\}"),
    (r"x = \pm 3", r"x=3 \text{ or } x=-3"),
    (r"1 \pm \sqrt{2}", r"\{1-\sqrt2, 1+\sqrt2\}"),
    (r"\frac{7}{3}", r"2\frac13"),
    (r"2^{-2}", r"\frac14"),
    (r"(-1)^{101}", r"-1"),
    (r"\sqrt{\frac{9}{16}}", r"\frac34"),
    (r"e^{2\ln 3}", r"9"),
    (r"\sqrt{a}\sqrt{b}", r"\sqrt{ab}"),
    (r"\frac{\sqrt5-1}{2}", r"\frac{2}{1+\sqrt5}"),
    (r"\left(\frac{2}{3}\right)^2", r"\frac49"),
    (r"\infty", r"+\infty"),
    (r"[1,\infty)", r"x \ge 1"),
    (r"-5 \text{ or } 5", r"\pm5"),
]
DIFFERENT = [
    (r"\sqrt{8}", r"2\sqrt{3}"),
    (r"2^{10}", r"1000"),
    (r"3+4i", r"3-4i"),
    (r"x>2", r"x \ge 2"),
    (r"(2,\infty)", r"[2,\infty)"),
    (r"(x+1)^2", r"x^2+1"),
    (r"0.333", r"\frac13"),
    (r"3.14", r"\pi"),
    (r"\{1,2\}", r"\{1,2,3\}"),
    (r"(1,2)", r"(2,1)"),
    (r"[1,2]", r"(1,2)"),
    (r"x=2", r"y=2"),
    (r"x+y=1", r"x-y=1"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
    (r"5!", r"5"),
    (r"\binom{5}{2}", r"\binom{5}{1}"),
    (r"\frac{5}{2}", r"\binom{5}{2}"),
    (r"2\pi", r"2"),
    (r"-3", r"3"),
    (r"x<2", r"2<x"),
    (r"\log_2 8", r"\log_8 2"),
    (r"2^{-3}", r"-8"),
    (r"\sqrt{-1}", r"-1"),
    (r"\pm 2", r"2"),
    (r"\frac{1}{3}", r"33\%"),
    (r"|x|", r"x"),
    (r"1.5\times 10^3", r"150"),
    (r"e^{2}", r"2e"),
    (r"\sin x", r"\cos x"),
    (r"(a+b)^2", r"a^2+b^2"),
    (r"1,024", r"1.024"),
    (r"2x+1", r"2x-1"),
    (r"\sqrt{2}", r"1.414"),
    (r"10\pi", r"31.4"),
    (r"\sqrt{50}", r"2\sqrt5"),
    (r"4^{3/2}", r"6"),
    (r"1-2i", r"2-i"),
    (r"x<5", r"x\le5"),
    (r"x>-3", r"x<-3"),
    (r"(1,2]", r"[1,2)"),
    (r"\log_3 81", r"3"),
    (r"\sin 2x", r"2\sin x"),
    (r"\binom{6}{2}", r"\binom{6}{3}"),
    (r"0.16", r"\frac16"),
    (r"12.5\%", r"12.5\times 10"),
    (r"x^2-5x+6=0", r"x^2+5x+6=0"),
    (r"2y=x+2", r"2y=x-2"),
    (r"(3,\frac12)", r"(\frac12,3)"),
    (r"\pm3", r"3"),
    (r"\frac{7}{3}", r"\frac{3}{7}"),
    (r"f(x)=x^2", r"f(x)=x^3"),
    (r"x<2 \text{ or } x>3", r"2<x<3"),
    (r"\lfloor 2.7 \rfloor", r"2.7"),
    (r"\sqrt{x^2+y^2}", r"x+y"),
    (r"\log(x+y)", r"\log x+\log y"),
    (r"3!", r"3"),
    (r"|x-1|", r"x-1"),
    (r"\frac{a}{b}", r"\frac{b}{a}"),
    (r"2^{3^2}", r"64"),
]
SAME_BY_ALGEBRA = [
    (r"\sum_{k=1}^{4} k", r"10"),
    (r"\int_0^1 x\,dx", r"\frac12"),
    (r"\sum_{n=1}^{10} n^2", r"385"),
    (r"\prod_{k=1}^4 k", r"24"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
async def test_equal_values_are_the_same_without_a_computer_algebra_system(
    one: str, other: str
) -> None:
    # On an event loop nothing waits for one.
    first, second = f"So it is \\boxed{{{one}}}.", f"Answer: ${other}$"
    assert same_answer(first, second), (read_answer(first), read_answer(second))
    assert same_answer(second, first)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_values_are_different(one: str, other: str) -> None:
    first, second = f"So it is \\boxed{{{one}}}.", f"Answer: ${other}$"
    assert not same_answer(first, second), (read_answer(first), read_answer(second))


@pytest.mark.parametrize(("one", "other"), SAME_BY_ALGEBRA)
def test_what_we_cannot_evaluate_is_compared_by_a_computer_algebra_system(
    one: str, other: str
) -> None:
    assert same_answer(f"\\boxed{{{one}}}", f"Answer: ${other}$")
    assert not same_answer(f"\\boxed{{{one}}}", f"Answer: ${other} + 1$")
    replies = [f"\\boxed{{{one}}}", "Answer: 7", f"Answer: ${other}$"]
    assert group_equal([read_answer(reply) for reply in replies]) == [[0, 2], [1]]


async def test_an_event_loop_knows_what_was_compared_before() -> None:
    pair = ("\\sum_{k=1}^{5} k", "15")
    assert not same_answer(*(f"\\boxed{{{one}}}" for one in pair))
    comparing = threading.Thread(target=are_equal, args=pair)
    comparing.start()
    comparing.join()
    assert are_equal(*pair)


def test_a_pair_that_takes_too_long_is_different_and_the_next_one_is_compared() -> None:
    assert not are_equal("\\sum_{k=1}^{99999999} \\sin(k^{k})", "12")
    assert are_equal("\\sum_{k=1}^{6} k", "21")


def test_without_the_extra_what_cannot_be_evaluated_is_different() -> None:
    code = (
        "import sys; sys.modules['math_verify'] = None\n"
        "from mom_council import same_answer\n"
        "print(same_answer(r'\\boxed{\\sum_{k=1}^{4} k}', 'Answer: 10'))\n"
        "print(same_answer('x > 2', '2 < x'))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"]
