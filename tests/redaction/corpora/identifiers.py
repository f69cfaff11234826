"""Harmless texts with long, random or numbered words, as failures of test suites show them: ids, digests, names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.redaction.corpora.parts import Maker

if TYPE_CHECKING:
    from collections.abc import Callable

_EACH = 60
WORDS = [
    "user", "login", "order", "cart", "price", "report", "export", "parse", "render", "cache", "token",
    "session", "upload", "retry", "queue", "worker", "config", "schema", "field", "value", "index", "search",
    "email", "invoice", "payment", "auth", "key", "secret", "stream", "batch", "event", "hook", "relay",
    "state", "split",
]  # fmt: skip


def _words(make: Maker, count: int, joint: str = "_") -> str:
    return joint.join(make.pick(WORDS) for _ in range(count))


def _camel(make: Maker, count: int) -> str:
    return "".join(make.pick(WORDS).title() for _ in range(count))


SHAPES: tuple[Callable[[Maker], str], ...] = (
    # - ids and digests
    lambda m: f"request id {m.uuid()} was not found",
    lambda m: f"trace={m.hex(32)} span={m.hex(16)}",
    lambda m: f"traceparent: 00-{m.hex(32)}-{m.hex(16)}-01",
    lambda m: f"commit {m.hex(40)} (HEAD -> main)",
    lambda m: f"git diff {m.hex(10)}..{m.hex(10)} -- src/{_words(m, 2)}.py",
    lambda m: f"FROM python@sha256:{m.hex(64)}",
    lambda m: f"registry.example.com/{_camel(m, 1).lower()}-server:v1.{m.text(2, '0123456789')}@sha256:{m.hex(64)}",
    lambda m: f'"integrity": "sha512-{m.base64(64)}"',
    lambda m: f"{_words(m, 1)}==1.{m.text(1, '0123456789')}.0 --hash=sha256:{m.hex(64)}",
    lambda m: f"github.com/example/{_words(m, 1)} v1.2.3 h1:{m.base64(32)}",
    lambda m: f'checksum = "{m.hex(64)}"',
    lambda m: f'ETag: W/"{m.hex(32)}"',
    lambda m: f"x-amz-request-id: {m.text(16, '0123456789ABCDEF')}",
    lambda m: f"x-amz-id-2: {m.base64(56)}",
    lambda m: f"cus_{m.text(14)} has no subscription sub_{m.text(24)}",
    lambda m: f"evt_{m.text(24)} was delivered twice",
    lambda m: f"assert 'msg_{m.text(24)}' == None",
    lambda m: f'{{"id": "chatcmpl-{m.text(29)}", "object": "chat.completion"}}',
    lambda m: f'{{"id": "resp_{m.hex(48)}"}}',
    lambda m: f"document {m.hex(24)} in collection {_words(m, 2)}",
    lambda m: f"job_{m.text(26, '0123456789ABCDEFGHJKMNPQRSTVWXYZ')} is queued",
    lambda m: f"user_{m.text(26, '0123456789abcdefghjkmnpqrstvwxyz')} is gone",
    lambda m: f"usr_{m.text(27)} was created",
    lambda m: f"i-{m.hex(17)} in subnet-{m.hex(17)} with sg-{m.hex(17)} and ami-{m.hex(17)}",
    lambda m: f"arn:aws:lambda:eu-west-1:{m.text(12, '0123456789')}:function:{_words(m, 3, '-')}",
    lambda m: f"s3://bucket/{_words(m, 2, '-')}/2026/01/02/{m.uuid()}.parquet",
    lambda m: f"/nix/store/{m.text(32, '0123456789abcdfghijklmnpqrsvwxyz')}-{_words(m, 1)}-1.2.3",
    lambda m: f"bafybeig{m.text(51, 'abcdefghijklmnopqrstuvwxyz234567')}",
    lambda m: f"tmp{m.text(8, 'abcdefghijklmnopqrstuvwxyz0123456789_')}/{_words(m, 2)}.sqlite3",
    lambda m: f"sha1:{m.hex(40)} md5:{m.hex(32)}",
    lambda m: f"cache key v1-{_words(m, 2, '-')}-{m.hex(64)}",
    lambda m: f"image_{m.hex(40)}.png and style-{m.hex(32)}.css",
    # - clusters and containers
    lambda m: f"pod/{_words(m, 2, '-')}-{m.text(10, 'bcdf2456789')}-{m.text(5, 'bcdfgh2456789')} is not ready",
    lambda m: f"container {m.hex(64)} exited with 137",
    lambda m: f"swarm task {m.text(25, 'abcdefghijklmnopqrstuvwxyz0123456789')} of {_words(m, 1)}.1",
    lambda m: f"deployment.apps/{_words(m, 3, '-')} scaled to {m.text(1, '123456789')}",
    # - programs
    lambda m: f"_ZN4core3fmt9Formatter9write_str17h{m.hex(16)}E",
    lambda m: "_ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE6appendEPKc" + m.pick(["m", "j"]),
    lambda m: f"_RNvXs5_NtCs{m.text(11)}_6timing7example",
    lambda m: f"{_camel(m, 2)}_{_words(m, 1)}__{m.text(5)} is not a class of the module",
    lambda m: (
        f"webpack:///./src/{_words(m, 2)}.tsx?{m.hex(4)} chunk-{m.text(8, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')}.js"
    ),
    lambda m: f"/assets/{_words(m, 1)}-{m.text(8)}.js and /_next/static/{m.text(21)}/_buildManifest.js",
    lambda m: f"src='data:image/png;base64,iVBORw0KGgo{m.base64(60)}'",
    lambda m: f"{_words(m, 1)}-2.1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    lambda m: f"MAX_{_words(m, 4).upper()}_2_BYTES = 1048576",
    lambda m: f"{_words(m, 3)}_v2_{_words(m, 2)}_2026_01_{m.text(2, '0123456789')}",
    lambda m: f"INSERT INTO {_words(m, 2)} VALUES ('{m.uuid()}', '{_words(m, 3, ' ')}', 3)",
    lambda m: f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{m.base64(32)[:43]} ann@example",
    lambda m: f"SHA256:{m.base64(32)[:43]} (ED25519)",
    lambda m: f"/home/ann/.cache/{_words(m, 2, '-')}/{m.hex(2)}/{m.hex(62)}",
    lambda m: f"arXiv:2401.{m.text(5, '0123456789')} doi:10.1000/{_words(m, 1)}.2026.{m.text(6, '0123456789')}",
)


IDENTITIES: tuple[Callable[[Maker], str], ...] = (
    lambda m: f"tests/{_words(m, 2)}/test_{_words(m, 2)}.py::Test{_camel(m, 3)}::test_{_words(m, 6)}_{m.hex(1)}7",
    lambda m: f"tests/test_{_words(m, 1)}.py::test_{_words(m, 2)}[{_words(m, 1)}_{m.uuid()}]",
    lambda m: f"tests/test_{_words(m, 1)}.py::test_{_words(m, 2)}[{m.hex(40)}-True]",
    lambda m: f"tests/test_{_words(m, 1)}.py::test_{_camel(m, 7)}With2Factors",
    lambda m: f"test_{_words(m, 3)}_{_camel(m, 5)}V2_returns_404",
    lambda m: f"src/test/java/com/example/{_camel(m, 3)}Test.java:{m.text(3, '123456789')}",
    lambda m: (
        f"at com.example.{_words(m, 1)}.{_camel(m, 4)}$$EnhancerBySpringCGLIB$${m.hex(8)}.{_words(m, 1)}(<generated>)"
    ),
    lambda m: f"com.example.{_camel(m, 3)}$$Lambda$14/0x0000{m.hex(12)}@{m.hex(7)}",
    lambda m: f"<{_camel(m, 2)} object at 0x7f{m.hex(10)}>",
    lambda m: m.hex(40),
    lambda m: m.hex(16),
    lambda m: m.hex(32),
    lambda m: m.uuid(),
    lambda m: f"tests/{_words(m, 2)}/test_{_words(m, 1)}_{m.text(2, '0123456789')}.py:{m.text(3, '123456789')}",
    lambda m: f"make[{m.text(1, '123456789')}]: build-{_words(m, 2, '-')}-v2.1",
    lambda m: f"test_{_words(m, 2)}[{_words(m, 1)}-{m.text(3, '0123456789')}-{_camel(m, 2)}]",
    lambda m: f"tests/test_{_words(m, 1)}.py::test_{_words(m, 2)}[m{m.text(1, '0123456789')}-{m.hex(64)}]",
    lambda m: f"tests/test_{_words(m, 1)}.py::test_{_words(m, 2)}[{m.pick(['a', 'n', 'o', 'u7', 'x3'])}.{m.hex(32)}]",
    lambda m: f"test_{_words(m, 2)}[{m.pick(['img', 'tmp', 'db', 'up', 'test', 'run'])}_{m.hex(32)}]",
)
"""What events are told apart by: ids of tests, tasks, spans and traces, commits, files and lines."""


def identities() -> list[str]:
    """Return identities of each shape."""
    make = Maker(22)
    return [shape(make) for shape in IDENTITIES for _ in range(_EACH)]


def harmless() -> list[str]:
    """Return texts of each shape."""
    make = Maker(21)
    return [shape(make) for shape in SHAPES for _ in range(_EACH)]
