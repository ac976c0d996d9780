"""Code that tries to get out of the sandbox, to read what is not its own, or to pass by fraud."""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mom_council.evals.sandbox import NOT_ISOLATED, run_python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="isolation is Linux's"),
]


@pytest.fixture(scope="module", autouse=True)
def isolated() -> None:
    """Skip where the kernel has neither namespaces nor Landlock."""
    if run_python("pass").why == NOT_ISOLATED:
        pytest.skip("this kernel isolates nothing, so nothing is run")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the user's."""
    file = tmp_path / "secret.txt"
    file.write_text("hunter2")
    file.chmod(0o644)
    return file


# Each raises where it gets nowhere; `{secret}` is a file of the user's.
READING = {
    "a file": "print(open({secret!r}).read())",
    "a file by its descriptor": "import os\n"
    "assert not any('secret' in os.readlink(f'/proc/self/fd/{{n}}') for n in range(64))",
    "the home folder": "import os; assert os.listdir(os.path.expanduser('~root'))",
    "passwords": "print(open('/etc/shadow').read())",
    "the list of users": "print(open('/etc/passwd').read())",
    "the environment of another process": "print(open('/proc/1/environ','rb').read())",
    "the parent's memory": "import os; open(f'/proc/{{os.getppid()}}/mem', 'rb')",
    "a link": "import os; os.symlink({secret!r}, 'l'); print(open('l').read())",
    "a hard link": "import os; os.link({secret!r}, 'l')",
    "a way up": "print(open('../../../../../../../../..' + {secret!r}).read())",
    "the old root": "import os; assert os.listdir('/old')",
    "a device": "import glob; assert glob.glob('/dev/sd*') + glob.glob('/dev/vd*')",
}
WRITING = {
    "over a file": "open({secret!r}, 'w').write('gone')",
    "into the system": "open('/usr/lib/evil', 'w')",
    "over Python": "import os; open(os.__file__, 'a').write('x')",
    "into /etc": "open('/etc/evil', 'w')",
    "away with a file": "import os; os.remove({secret!r})",
    "a file's rights": "import os; os.chmod({secret!r}, 0)",
}
LEAVING = {
    "a new mount": "import ctypes,os\nl=ctypes.CDLL(None,use_errno=True)\n"
    "assert l.mount(b'none',b'/tmp',b'tmpfs',0,b'')==0",
    "new namespaces": "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000)==0",
    "a new root": "import os; os.chroot('/tmp')",
    "another user": "import os; os.setuid(0)",
    "tracing": "import ctypes\nassert ctypes.CDLL(None).ptrace(16,2,0,0)==0",
    "io_uring": "import ctypes\nb=ctypes.create_string_buffer(256)\n"
    "assert ctypes.CDLL(None).syscall(425,1,b)>=0",
    "a group of its own, to live on": "import os; os.setsid()",
    "another process group": "import os; os.setpgid(0, 0)",
    "not to die with its parent": "import ctypes\nassert ctypes.CDLL(None).prctl(1,0,0,0,0)==0",
    "another process": "import os; os.fork()",
    "another program": "import subprocess; subprocess.run(['/bin/true'], check=True)",
    "a namespace by clone": "import ctypes\n"
    "assert ctypes.CDLL(None).syscall({clone},0x10000011,0,0,0,0)>=0",
    "a namespace by clone3": "import ctypes\nb=(ctypes.c_ulong*11)(0x10000000,0,0,0,17)\n"
    "assert ctypes.CDLL(None).syscall(435,b,88)>=0",
    "memory that no limit counts": "import ctypes\n"
    "assert ctypes.CDLL(None).shmget(0,4096,0o1600)>=0",
    "a queue of messages": "import ctypes\nassert ctypes.CDLL(None).msgget(0,0o1600)>=0",
    "a socket to the host of a virtual machine": "import socket; socket.socket(40, 1)",
    "a socket to the kernel": "import socket; socket.socket(16, 3, 0)",
    "a watch over files": "import ctypes\nassert ctypes.CDLL(None).fanotify_init(0x200,0)>=0",
    "another's descriptor": "import ctypes\nassert ctypes.CDLL(None).syscall(434,1,0)>=0",
    "a module of the kernel": "import ctypes\nassert ctypes.CDLL(None).syscall(175,0,0,0)==0",
}


@pytest.mark.parametrize(
    "source",
    [*READING.values(), *WRITING.values(), *LEAVING.values()],
    ids=[*READING, *WRITING, *LEAVING],
)
def test_it_gets_nowhere(secret: Path, source: str) -> None:
    clone = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    outcome = run_python(source.format(secret=str(secret), clone=clone))
    assert not outcome.ok, source
    assert outcome.fenced, outcome.why
    assert secret.read_text() == "hunter2"
    assert secret.stat().st_mode & 0o777 == 0o644


@pytest.fixture
def listeners(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Somebody who listens on this machine, in the three ways there are."""
    with socket.create_server(("127.0.0.1", 0)) as net, socket.socket(socket.AF_UNIX) as named:
        path = f"/tmp/mom-test-{os.getpid()}.sock"
        named.bind(path)
        named.listen()
        with socket.socket(socket.AF_UNIX) as nameless:
            nameless.bind(f"\0mom-test-{os.getpid()}")
            nameless.listen()
            yield {
                "network": f"socket.create_connection({net.getsockname()!r}, 2)",
                "unix": f"socket.socket(socket.AF_UNIX).connect({path!r})",
                "abstract": f"socket.socket(socket.AF_UNIX).connect('\\0mom-test-{os.getpid()}')",
            }
        Path(path).unlink()


@pytest.mark.parametrize("way", ["network", "unix", "abstract"])
def test_it_reaches_nobody(listeners: dict[str, str], way: str) -> None:
    assert not run_python(f"import socket\n{listeners[way]}").ok


def test_it_ends_no_other_process() -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        run_python(f"import os; os.kill({other.pid}, 9)")
        run_python("import os; os.kill(-1, 9)")
        assert other.poll() is None
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()


def test_threads_and_an_event_loop_are_allowed() -> None:
    source = (
        "import asyncio, concurrent.futures\n"
        "async def g(): await asyncio.sleep(0.001); return 5\n"
        "assert asyncio.run(g()) == 5\n"
        "with concurrent.futures.ThreadPoolExecutor(4) as pool:\n"
        "    assert sum(pool.map(abs, [1, -2])) == 3\n"
        "def f(x): return x + 1\n"
    )
    assert run_python(source, "assert f(1) == 2", seconds=20).ok


def test_processes_and_disk_are_limited() -> None:
    bomb = "import os\nwhile True:\n    os.fork()\n"
    assert not run_python(bomb, seconds=3).ok
    full = "for n in range(10_000):\n    open(f'f{n}', 'wb').write(b'x' * 900_000)"
    assert "No space left" in run_python(full, seconds=20).why


CHECK = "assert f(1) == 2, 'f(1) is 2'\nassert f(2) == 3"
FRAUD = {
    "an object that equals everything": "class E:\n    def __eq__(self, o): return True\n"
    "    __hash__ = None\ndef f(x): return E()",
    "a number that equals everything": "class E(int):\n    def __eq__(self, o): return True\n"
    "def f(x): return E(9)",
    "a class that is asked the other way round": "class E(int):\n"
    "    def __eq__(self, o): return True\n    def __req__(self, o): return True\n"
    "    def __ne__(self, o): return False\ndef f(x): return E()",
    "leaving with success": "import os\ndef f(x): os._exit(0)",
    "leaving at once": "import os; os._exit(0)",
    "an exit": "import sys\ndef f(x): sys.exit(0)",
    "an assertion that is switched off": "import builtins\nbuiltins.AssertionError = ValueError\n"
    "__debug__x = False\ndef f(x): return 9",
    "a patched builtin": "import builtins\nbuiltins.isinstance = lambda *a: True\n"
    "builtins.all = lambda *a: True\ndef f(x): return 9",
    "a trace function": "import sys\nsys.settrace(lambda *a: None)\ndef f(x):\n"
    "    fr = sys._getframe()\n    while fr:\n        for v in list(fr.f_locals.values()):\n"
    "            pass\n        fr = fr.f_back\n    return 9",
    "a verdict of its own": "import os\nfor n in range(3, 64):\n    try:\n"
    '        os.write(n, b\'{"ok": true, "why": "", "isolated": true}\')\n'
    "    except OSError: pass\ndef f(x): return 9",
    "a message of its own": "import os, json, struct\nb = json.dumps({'ready': True}).encode()\n"
    "for n in range(3, 64):\n    try: os.write(n, struct.pack('<I', len(b)) + b)\n"
    "    except OSError: pass\nos._exit(0)",
    "searching memory": "import gc\ndef f(x):\n    for o in gc.get_objects():\n"
    "        if isinstance(o, str) and 'is 2' in o: return 2\n    return 9",
    "reading the check": "import glob\ndef f(x):\n"
    "    texts = [open(p, errors='ignore').read() for p in glob.glob('/work/**', recursive=True)\n"
    "             + glob.glob('/tmp/**', recursive=True) if p.endswith('.py')]\n"
    "    return x + 1 if any('f(1) is 2' in t for t in texts) else 9",
    "an error that is caught": "class A(AssertionError): pass\ndef f(x): raise SystemExit(0)",
}


@pytest.mark.parametrize("source", FRAUD.values(), ids=FRAUD)
def test_a_check_is_not_passed_by_fraud(source: str) -> None:
    outcome = run_python(source, CHECK, seconds=20)
    assert not outcome.ok


# An object in the place of a plain value sees what the check works with, and says what it wants.
_OBJECT = "class A:\n    {}\ndef f(x): return A()"
OBJECTS = {
    "is less than everything": ("def __lt__(s, o): return True", "assert f(2) < 3"),
    "is more than everything": ("def __gt__(s, o): return True", "assert 3 < f(2)"),
    "is as near as is wanted": (
        "def __sub__(s, o): return s\n    def __abs__(s): return 0.0",
        "assert abs(f(2) - 3) < 1e-6",
    ),
    "has no difference": ("def __sub__(s, o): return 0.0", "assert abs(f(2) - 3) < 1e-6"),
    "is true of every difference": (
        "def __xor__(s, o): return s\n    def __bool__(s): return False",
        "assert not (f(2) ^ 3)",
    ),
    "is a multiple of everything": ("def __mod__(s, o): return 0", "assert f(2) % 3 == 0"),
    "holds everything": ("def __contains__(s, o): return True", "assert 3 in f(2)"),
}
FRAUDS = {
    **{name: (_OBJECT.format(body), check) for name, (body, check) in OBJECTS.items()},
    "a number without a difference": (
        "class A(int):\n    def __sub__(s, o): return 0\ndef f(x): return A(7)",
        "assert f(2) - 3 == 0",
    ),
    "a list that holds everything": (
        "class A(list):\n    def __contains__(s, o): return True\ndef f(x): return A()",
        "assert 3 in f(2)",
    ),
    "functions with the names of Python's": (
        "def abs(x): return 0\ndef all(x): return True\ndef f(x): return 9",
        "assert abs(f(2) - 3) < 1e-6\nassert all(f(x) == x + 1 for x in (1, 2))",
    ),
    "the end of a loop of the check's": (
        "def f(x): raise StopIteration",
        "assert all(map(lambda x: f(x) == x + 1, (1, 2)))",
    ),
}


@pytest.mark.parametrize(("source", "check"), FRAUDS.values(), ids=FRAUDS)
def test_no_object_stands_for_a_plain_value(source: str, check: str) -> None:
    assert not run_python(source, check, seconds=20).ok
    right = run_python("def f(x): return x + 1", check.replace("3 in f(2)", "f(2) in [3]"))
    assert right.ok or "3 < f(2)" in check or "f(2) < 3" in check, right.why


HONEST = {
    "a function": ("def f(x): return x + 1", CHECK),
    "a list that is sorted in its place": (
        "def f(l): l.sort()",
        "a = [3, 1, 2]\nassert f(a) is None\nassert a == [1, 2, 3]",
    ),
    "a class": (
        """
class S:
    def __init__(self): self.items = []
    def push(self, x): self.items.append(x)
    def pop(self): return self.items.pop()
    def __len__(self): return len(self.items)
    def __getitem__(self, n): return self.items[n]
""",
        """
s = S()
s.push(1)
s.push(2)
assert len(s) == 2 and s[0] == 1 and s.items == [1, 2]
assert s.pop() == 2
assert isinstance(s, S)
assert s == s
assert S is not None
""",
    ),
    "errors": (
        """
class Mine(ValueError): pass
def f(x):
    if x: raise Mine('no')
    raise KeyError(x)
""",
        """
for x, kind in ((1, ValueError), (1, Mine), (0, KeyError)):
    try:
        f(x)
        assert False
    except kind:
        pass
""",
    ),
    "functions of the check": (
        "def apply(g, xs): return [g(x) for x in xs]",
        "assert apply(lambda x: x * 2, [1, 2]) == [2, 4]",
    ),
    "generators and data": (
        """
from fractions import Fraction
import datetime
def g():
    yield 1
    yield (2, {3: [4.5]})
def h(): return Fraction(1, 3), {1, 2}, b'x', datetime.date(2020, 1, 2), 1j, None, True
""",
        """
from fractions import Fraction
import datetime
assert list(g()) == [1, (2, {3: [4.5]})]
assert h() == (Fraction(1, 3), {1, 2}, b'x', datetime.date(2020, 1, 2), 1j, None, True)
""",
    ),
    "a check in a function": (
        "def f(x): return x + 1",
        """
def check(candidate):
    assert candidate(1) == 2
check(f)
def test():
    assert f(2) == 3
test()
""",
    ),
    "a function with the name of one of Python's": (
        "def sum(a, b): return a + b",
        "def check(candidate):\n    assert candidate(10, 15) == 25\ncheck(sum)",
    ),
    "objects that are plain data": (
        """
import collections, datetime, enum
P = collections.namedtuple('P', 'x y')
class E(enum.IntEnum):
    ONE = 1
def p(): return P(1, 2)
def e(): return E.ONE
def now(): return datetime.datetime(2020, 1, 2, 3, 4, tzinfo=datetime.timezone.utc)
""",
        """
import datetime
assert p() == (1, 2) and p().x == 1 and 2 in p()
assert e() == 1 and e() < 2 and e() + 1 == 2
assert now() == datetime.datetime(2020, 1, 2, 3, 4, tzinfo=datetime.timezone.utc)
""",
    ),
    "classes that calculate": (
        """
class V:
    def __init__(self, x, y): self.x, self.y = x, y
    def __mul__(self, k): return V(self.x * k, self.y * k) if isinstance(k, int) else self.x * k.x
    def __eq__(self, o): return (self.x, self.y) == (o.x, o.y)
    def __lt__(self, o): return self.x < o.x
    def __abs__(self): return (self.x ** 2 + self.y ** 2) ** 0.5
    def __contains__(self, k): return k in (self.x, self.y)
""",
        """
assert V(1, 2) * 3 == V(3, 6) and (V(1, 2) * 3).y == 6
assert abs(V(3, 4)) == 5 and V(1, 2) * V(3, 4) == 3
assert V(1, 2) < V(2, 1) and 2 in V(1, 2) and 3 not in V(1, 2)
""",
    ),
    "recursion and modules": (
        "import math, re, json\ndef fact(n): return 1 if n < 2 else n * fact(n - 1)",
        "assert fact(20) == 2432902008176640000\nimport math\nassert math.pi > 3",
    ),
}


@pytest.mark.parametrize(("source", "check"), HONEST.values(), ids=HONEST)
def test_what_is_right_passes(source: str, check: str) -> None:
    outcome = run_python(source, check, seconds=20)
    assert outcome.ok, outcome.why


def test_both_end_with_their_time() -> None:
    began = time.monotonic()
    source = "import os, time\nos.fork()\nos.setsid() if os.fork() == 0 else 0\ntime.sleep(90)"
    assert not run_python(source, seconds=1).ok
    assert time.monotonic() - began < 30


BARE = """
import ctypes, struct, sys
from mom_council.evals.sandbox import run_python
# This kernel as an older one: no namespaces, no Landlock.
steps = [(0x20, 0, 0, 0)]
for number in (272, 444):  # unshare, landlock_create_ruleset
    steps += [(0x15, 0, 1, number), (6, 0, 0, 0x00050001)]
steps += [(6, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in steps))
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(program)), 0, 0) == 0
open(sys.argv[1], "w").close()
mark = f"import os; os.remove({sys.argv[1]!r})"
print(run_python(mark).why)
assert open(sys.argv[1])
print(run_python(mark, may_be_open=True))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="its numbers are those of x86_64")
def test_where_nothing_isolates_nothing_runs_until_it_is_allowed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BARE, str(tmp_path / "mark")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second = ran.stdout.splitlines()
    assert first == NOT_ISOLATED
    assert second == "SandboxResult(ok=True, why='', fenced=False)"
    assert not (tmp_path / "mark").exists()
