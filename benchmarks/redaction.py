"""The cost of redaction: microseconds for an ordinary test event, and the growth of time on hostile texts.

Run with ``python benchmarks/redaction.py``. Times are the minimum of many repetitions. Each repetition uses fresh
texts, because repeated short texts cost next to nothing. Growth is the CPU time for eight times the length divided by
the CPU time for the length: 8 is linear, 64 quadratic.
"""

from __future__ import annotations

import platform
import time
import timeit

from pytest_swarmtask.redaction.redactor import Redactor

ENVIRON = {"GITHUB_TOKEN": "not-a-real-token-1", "DB_PASSWORD": "not-a-real-password-1", "PATH": "/usr/bin:/bin"}
TASK_ID = "tests/test_api.py::test_login[admin]"
ERROR = "AssertionError: assert 'left' == 'right'"
FACTS = {"workflow": "pytest", "action": "test", "success": False, "duration": 0.0123, "outcome": "failed"}
LENGTH, TIMES = 2_000, 8

HOSTILE = {
    "names": "password",
    "names and signs": "password=",
    "names and quotes": 'password="',
    "escaped quotes": 'token=\\"',
    "one long name": "a_b-",
    "spaces": "token ",
    "blank after a sign": "key=" + " " * 50,
    "addresses": "://a:",
    "addresses to fill in": "://${a}:${b}",
    "piped": "echo aaaaaa --password-stdin|",
    "cookies": "curl -b a=",
    "defaults": "${key:?",
    "calls": "token = a(",
    "addresses and signs": "://a:b@",
    "headers": "Authorization: Bearer ",
    "basic": "basic aaaaaaaaaaaa",
    "bearer": "bearer aaaaaaaaaaaa",
    "JSON Web Tokens": "eyJaaaaaaaa.",
    "private keys": "-----BEGIN RSA PRIVATE KEY-----",
    "half private keys": "-----BEGIN A A A",
    "commands": "curl -u mysql -p login -p ",
    "prefixes": "sk-ghp_xoxb-AKIAeyJ",
    "dashes and underscores": "api_key_sk-",
    "letters": "aA",
    "digits": "1a",
    "elements": "<password a",
    "pairs": "name: token value",
    "brackets": "[[{",
    "JSON": '{"password":',
    "colours": "\x1b[0;",
    "percent": "%3a%2f%2f",
    "dots": "M.N.O.",
    "compared": "'aaaaaa' == a.token",
    "explained": "'aaaaaa' = a.a.a.",
    "logins": "auth=('a', '",
    "lines of a password file": ":5432:a:b:",
    "padded": "basic aAaAaA= ",
    "archives": "zip a -P ",
    "arguments of calls": "connect('password', ",
    "inserted": "insert into a (password, b) values ('a', ",
    "options with a user": "prog -u a -b c -p token ",
    "tables": "| password | ",
    "directives": "username a password 5 snmp-server community ",
    "parts of a form": 'form-data; name="password"',
    "asserted": "assertEqual(a.password, password() or ",
    "class names": "token = aBcdEfgh.aB1",
    "references": "token=a->a::",
    "texts that end": 'print("token: ", ',
    "versions": '"token": "^1.1.1.1.1',
    "to fill in": 'token="{a',
    "unknown prefixes": "aB1-",
    "short unknown prefixes": "ab_1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P.",
    "many prefixes": "sk-live_key_hf_npm_",
    "options": "ldapsearch -x 7z -w ",
    "logins of Oracle": "sqlplus scott/a exp a/b",
    "shares": "net use \\\\a\\b /user:a ",
    "arguments": "htpasswd -b vault login ",
    "inputs": "echo a:aaaaaa | sudo <<< <(echo a ",
    "Secrets of Kubernetes": "kind: Secret\ndata:\n  a: bcdef\n",
    "Secrets as JSON": '"kind": "Secret", "data": {"a": "b',
    "commented": "'aaaaaa' # password ",
    "echoed": "echo aaaaaa > a ",
    "printed": "secret a | base64 -d\n",
    "alone on a line": "password a:\n",
    "users": " -u a:bbbbbb",
    "validated": "password\n input_value=",
    "asked": "password [a]: ",
    "links": "://a/reset/a-b_1/verify/",
}


def event(redactor: Redactor, number: int) -> None:
    """Redact the texts of an ordinary failed test."""
    redactor.text(f"{TASK_ID[:-1]}{number}]")
    redactor.text(f"{ERROR}{number}")


def with_facts(redactor: Redactor, number: int) -> None:
    """Redact the same event as recorded by a Python call, which checks all fields."""
    task_id = f"{TASK_ID[:-1]}{number}]"
    redactor.text(task_id)
    redactor.metadata({**FACTS, "specific_test": task_id, "error": f"{ERROR}{number}"})


def microseconds(work: object, count: int = 2_000) -> float:
    """Return the minimum time of one call with new texts, without the time of making them."""
    redactor = Redactor(ENVIRON)
    numbers = iter(range(10**9))
    names = {"work": work, "redactor": redactor, "numbers": numbers, "ID": TASK_ID, "ERROR": ERROR}
    taken = timeit.repeat(
        "work(redactor, next(numbers))", globals=names, number=count, repeat=50, timer=time.process_time
    )
    idle = timeit.repeat(
        "n = next(numbers); f'{ID[:-1]}{n}]'; f'{ERROR}{n}'",
        globals=names,
        number=count,
        repeat=50,
        timer=time.process_time,
    )
    return (min(taken) - min(idle)) / count * 1e6


def growth(unit: str, length: int = LENGTH, times: int = TIMES) -> tuple[float, float]:
    """Return the CPU milliseconds for a text of this length, and the ratio for a longer one."""
    short, long = (unit * (size // len(unit) + 1) for size in (length, length * times))
    small, large = (min(_cpu(text) for _ in range(5)) for text in (short, long))
    return small * 1000, large / small


def _cpu(text: str) -> float:
    redactor = Redactor(ENVIRON)
    begun = time.process_time()
    redactor.text(text, 10**9)
    return time.process_time() - begun


def main() -> None:
    """Measure and print."""
    print(f"Python {platform.python_version()}, {platform.system()}\n")
    print(f"test event (task id, error)      {microseconds(event):5.2f} µs (bar: 3)")
    print(f"the same with its other fields   {microseconds(with_facts):5.2f} µs\n")
    print(f"| hostile text | ms for {LENGTH} characters | times that for {TIMES} times as many |")
    print("| --- | --- | --- |")
    for name, unit in HOSTILE.items():
        _cpu(unit * 10)  # compiles the patterns
        small, ratio = growth(unit)
        print(f"| {name} | {small:.2f} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
