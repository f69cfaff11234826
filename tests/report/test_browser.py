"""The HTML report in a real browser: Chromium without a window.

Without Chromium the tests are skipped, unless SWARMTASK_BROWSER=required says that it must be installed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.history.made import run
from tests.npm import installed
from tests.report.test_evidence import root
from tests.report.test_html import HOSTILE, hostile, serving
from tests.report.test_repeated import ATTEMPT, write
from tests.shop import Shop, swarmtask
from tests.suite import Suite

sync_api = pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402 - the line above skips without it

__all__ = ["hostile", "root"]

pytestmark = pytest.mark.slow

WIDTHS = (390, pytest.param(768, marks=pytest.mark.long), 1440)
LOOKS = pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 1280),
        ("dark", 390),
        pytest.param("dark", 1280, marks=pytest.mark.long),
        pytest.param("light", 390, marks=pytest.mark.long),
    ],
)
"""Both themes and both widths. The long check also tries the two other pairs of them."""
PATIENCE = 60_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser, closed after this module because its event loop would disturb other tests."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        reason = f"no browser is installed: none of {', '.join(names)} was found"
        if os.environ.get("SWARMTASK_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@contextmanager
def looking(chromium: Browser, address: str, *, lacking: str | None = None, **options: Any) -> Iterator[Page]:
    """Open an address; at the end check that there was no error, no dialog, and no request to another address.

    Args:
        chromium: the browser.
        address: the address of the page.
        lacking: the name of a class that old browsers lack. The page does not find it.
        options: the options of the browser's context.
    """
    troubles: list[str] = []
    requests: list[str] = []
    context = chromium.new_context(**options)
    context.set_default_timeout(PATIENCE)
    if lacking:
        context.add_init_script(f"delete window.{lacking}")
    page = context.new_page()
    page.on("console", lambda message: troubles.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    yield page
    context.close()
    assert troubles == []
    assert not [url for url in requests if not url.startswith(address)]


def written(root: Path, folder: Path, *arguments: str) -> str:
    """Write the report of a project, and return its address."""
    target = folder / "report.html"
    assert swarmtask(root, "report", "--html", str(target), *arguments).returncode == 0
    return target.as_uri()


@pytest.fixture
def address(shop: Shop, tmp_path: Path) -> str:
    """The address of the report of the shop's last run."""
    return written(shop.suite.root, tmp_path)


def in_seconds(duration: str) -> float:
    """Return a duration such as ``0.25 s`` or ``1.5 ms`` in seconds."""
    number, unit = duration.split()
    return float(number) / {"s": 1, "ms": 1000}[unit]


def is_wide(page: Page) -> bool:
    """Whether the page has to be scrolled sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_person_reads_it(chromium: Browser, address: str, width: int) -> None:
    """A user can search, filter, sort, open a failure and switch the theme on a phone, a tablet and a desktop."""
    with looking(chromium, address, viewport={"width": width, "height": 900}, color_scheme="light") as page:
        assert not is_wide(page)
        rows = page.locator("#rows tr")
        expect(rows).to_have_count(12)
        expect(page.locator("#shown")).to_have_text("12 tests")
        page.get_by_label("Search").fill("many [3]")
        expect(rows).to_have_count(1)
        expect(page.locator("#shown")).to_have_text("1 of 12 tests")
        page.get_by_label("Search").fill("")
        page.get_by_label("passed").uncheck()
        expect(rows).to_have_count(4)
        page.get_by_label("passed").check()
        page.get_by_label("Order").select_option("slow")
        times = [in_seconds(text) for text in page.locator("#rows .num").all_inner_texts()]
        assert times == sorted(times, reverse=True)
        page.get_by_role("link", name="test_shop.py::test_db").click()
        told = page.locator("article:target")
        expect(told).to_be_in_viewport()
        expect(told).to_contain_text("connection lost")
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_label("Theme").select_option("dark")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert dark != light
        page.reload()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
        assert not is_wide(page)


def test_a_view_can_be_sent(chromium: Browser, address: str) -> None:
    """The address keeps search, order and outcomes. A person who opens it sees the same tests."""
    with looking(chromium, address) as page:
        page.get_by_label("Search").fill("test_shop")
        page.get_by_label("Order").select_option("name")
        page.get_by_label("passed").uncheck()
        sent, rows = page.url, page.locator("#rows tr").all_inner_texts()
        assert "#tests?" in sent
        page.get_by_label("Search").fill("")
        page.get_by_label("Order").select_option("")
        page.get_by_label("passed").check()
        assert page.url.endswith("#tests")
    with looking(chromium, sent.partition("#")[0]) as page:
        page.goto(sent)
        expect(page.locator("#tests")).to_be_in_viewport()
        expect(page.get_by_label("Search")).to_have_value("test_shop")
        expect(page.get_by_label("Order")).to_have_value("name")
        expect(page.get_by_label("passed")).not_to_be_checked()
        assert page.locator("#rows tr").all_inner_texts() == rows


def test_keys(chromium: Browser, address: str) -> None:
    """j and k go from failure to failure, and / to the search, where they are letters again."""
    with looking(chromium, address) as page:
        failures = page.locator("#failures .failure")
        for key, at in (("j", 0), ("j", 1), ("j", 1), ("k", 0)):
            page.keyboard.press(key)
            expect(failures.nth(at)).to_be_focused()
            expect(failures.nth(at)).to_be_in_viewport()
        page.keyboard.press("/")
        expect(page.get_by_label("Search")).to_be_focused()
        page.keyboard.type("j/k")
        expect(page.get_by_label("Search")).to_have_value("j/k")


def test_a_command_is_copied(chromium: Browser, address: str) -> None:
    with looking(chromium, address, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.locator("#failure-1").get_by_role("button", name="Copy").click()
        expect(page.locator("#failure-1").get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == page.locator("#failure-1 .command code").inner_text()
        assert copied.startswith("pytest test_shop.py::")


def test_what_is_folded_is_printed(chromium: Browser, why: str) -> None:
    with looking(chromium, why) as page:
        folded = page.locator("details:not([open])")
        before = folded.count()
        assert before > 0
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert folded.count() == 0
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert folded.count() == before


def test_fingers_meet_what_they_aim_at(chromium: Browser, why: str) -> None:
    """Controls have at least 24 by 24 pixels, as WCAG 2.2 wants it (2.5.8). Links within a text are exempt."""
    with looking(chromium, why, viewport={"width": 390, "height": 844}) as page:
        controls = page.locator(
            "button:visible, select:visible, input[type=search]:visible, summary:visible, #outcomes label"
        )
        boxes = [(each.inner_text(), each.bounding_box()) for each in controls.all()]
        assert len(boxes) > 5
        assert not [(text, box) for text, box in boxes if not box or min(box["width"], box["height"]) < 24]


def test_with_the_keyboard_alone(chromium: Browser, address: str) -> None:
    """With the keyboard alone, the first stop is a link to the report, and the focused element is visible."""
    with looking(chromium, address) as page:
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the report")).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        page.get_by_label("Search").focus()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_without_a_script(chromium: Browser, address: str) -> None:
    """Without JavaScript, the page shows all important facts and hides the controls that would not work."""
    with looking(chromium, address, java_script_enabled=False) as page:
        expect(page.get_by_role("heading", name="failed pytest_run")).to_be_visible()
        expect(page.locator("#failures article")).to_have_count(2)
        expect(page.locator(".lane svg").first).to_be_visible()
        expect(page.locator("#rows tr")).to_have_count(12)
        expect(page.get_by_text("All tests, failed ones first.")).to_be_visible()
        expect(page.locator("#query, #theme, #next").first).to_be_hidden()


def serious(page: Page, axe: str) -> list[Any]:
    """Return the serious accessibility problems that axe finds in a page."""
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 20
    return [each for each in found["violations"] if each["impact"] in {"serious", "critical"}]


@LOOKS
def test_for_everybody(chromium: Browser, axe: str, address: str, scheme: str, width: int) -> None:
    """axe finds no serious accessibility problem, even with all sections expanded."""
    with looking(chromium, address, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        problems = serious(page, axe)
    assert not problems, json.dumps(problems, indent=1)


@pytest.fixture
def why(root: Path, tmp_path: Path) -> str:
    """The address of a report whose failures have tracebacks, output and earlier attempts."""
    return written(root, tmp_path)


@LOOKS
def test_why_a_test_failed(chromium: Browser, axe: str, why: str, scheme: str, width: int) -> None:
    """Traceback and output are folded, open with a key, and can be read by everybody; failing lines stand out."""
    with looking(chromium, why, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        first = page.locator("details.evidence").first
        expect(first.get_by_text("two items")).to_be_hidden()
        first.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(first.get_by_text("two items")).to_be_visible()
        weight = "element => getComputedStyle(element).fontWeight"
        assert int(first.locator(".raised").evaluate(weight)) > int(first.locator("pre").first.evaluate(weight))
        assert not is_wide(page)
        problems = serious(page, axe)
    assert not problems, json.dumps(problems, indent=1)


@pytest.fixture
def repeated(journal: Path, tmp_path: Path) -> str:
    """The address of a report whose tests passed when they were repeated."""
    attempts = [{**ATTEMPT, "stdout": "first try"}, ATTEMPT]
    write(journal, 1, {f"test_{n}": {"attempt": 3, "attempts": attempts} for n in range(3)})
    return written(journal.parents[1], tmp_path)


@LOOKS
def test_what_passed_when_repeated(chromium: Browser, axe: str, repeated: str, scheme: str, width: int) -> None:
    """A link leads to the tests that passed when they were repeated; their failed attempts open with a key."""
    with looking(chromium, repeated, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        page.get_by_role("link", name="Repeated").click()
        expect(page.get_by_role("heading", name="Passed when repeated 3")).to_be_in_viewport()
        first = page.locator("#repeated-1 details.evidence")
        expect(first.get_by_text("first try")).to_be_hidden()
        first.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(first.get_by_text("first try")).to_be_visible()
        assert not is_wide(page)
        problems = serious(page, axe)
    assert not problems, json.dumps(problems, indent=1)


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core."""
    folder = installed("axe-core", "4", tmp_path_factory.mktemp("npm"))
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("width", [390, pytest.param(1440, marks=pytest.mark.long)])
def test_hostile_texts_are_inert(chromium: Browser, hostile: Path, tmp_path: Path, width: int) -> None:
    """Markup, templates, escape sequences and bidirectional texts are shown literally; long texts do not overflow."""
    with looking(chromium, written(hostile, tmp_path), viewport={"width": width, "height": 900}) as page:
        assert page.evaluate("typeof hacked") == "undefined"
        assert page.title().startswith("failed: pytest_run, ")
        assert not is_wide(page)
        shown = page.locator("#failures").inner_text() + page.locator("#rows").inner_text()
        for text in (HOSTILE[0], HOSTILE[1], HOSTILE[2], "\\x1b[31mred", "\\u202eevil", "&amp;\"'><!--"):
            assert shown.count(text) >= 2, text
        assert not {each for each in shown if not each.isprintable()} - {"\n", "\t"}
        page.get_by_label("Search").fill("</script><img")
        expect(page.locator("#rows tr")).to_have_count(1)


@pytest.mark.long
def test_twenty_thousand_tests(chromium: Browser, journal: Path, tmp_path: Path) -> None:
    """The search covers all of 20,000 tests, and the page draws few of them."""
    run(
        journal, 1, {f"tests/test_{n % 99}.py::test_case[{n}]": "failed" if n == 7 else "passed" for n in range(20_000)}
    )
    with looking(chromium, written(journal.parents[1], tmp_path)) as page:
        rows = page.locator("#rows tr")
        expect(rows).to_have_count(50)
        expect(rows.first).to_contain_text("tests/test_7.py::test_case[7]")
        expect(page.locator("#shown")).to_have_text("20,000 tests, here 1 to 50")
        page.get_by_role("button", name="Next").click()
        expect(page.locator("#shown")).to_have_text("20,000 tests, here 51 to 100")
        page.get_by_label("Search").fill("test_case[1999")
        expect(page.locator("#shown")).to_have_text("11 of 20,000 tests")
        expect(page.get_by_role("button", name="Next")).to_be_hidden()


def test_live(chromium: Browser, project: Suite) -> None:
    """A served page shows a new run by itself, and the user's search and theme stay."""
    project.write(test_it="def test_a(): pass\ndef test_b(): pass")
    project.pytest()
    with serving(project.root) as (_, port), looking(chromium, f"http://127.0.0.1:{port}/") as page:
        expect(page.locator("#live")).to_contain_text("live")
        page.get_by_label("Theme").select_option("dark")
        page.get_by_label("Search").fill("test_b")
        page.mouse.wheel(0, 200)
        first = page.locator(".facts code").first.inner_text()
        project.write(test_it="def test_a(): pass\ndef test_b(): assert 0, 'as wanted'")
        session = project.pytest()
        assert session.start["trace_id"] != first
        expect(page.locator(".facts code").first).to_have_text(session.start["trace_id"], timeout=PATIENCE)
        expect(page.locator("#failures")).to_contain_text("as wanted", timeout=PATIENCE)
        expect(page.locator("#rows tr")).to_have_count(1)
        expect(page.locator("#rows")).to_contain_text("✕ failed")
        expect(page.get_by_label("Search")).to_have_value("test_b")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_browser_that_cannot_decompress(chromium: Browser, project: Suite) -> None:
    """An old browser says what it lacks. The page has the first tests, and shows a new run by itself."""
    project.write(test_it="".join(f"def test_{n}(): pass\n" for n in range(60)))
    project.pytest()
    with (
        serving(project.root) as (_, port),
        looking(chromium, f"http://127.0.0.1:{port}/", lacking="DecompressionStream") as page,
    ):
        expect(page.locator("#shown")).to_contain_text("This browser lacks DecompressionStream, so it shows at most 50")
        expect(page.locator("#filter")).to_be_hidden()
        expect(page.locator("#rows tr")).to_have_count(50)
        expect(page.locator("#live")).to_have_text("live: updates by itself")
        project.write(test_it="def test_a(): pass\ndef test_b(): assert 0, 'as wanted'")
        project.pytest()
        expect(page.locator("#failures")).to_contain_text("as wanted")
        expect(page.locator("#rows tr")).to_have_count(2)
        expect(page.locator("#rows")).to_contain_text("✕ failed")
        expect(page.locator("#live")).to_have_text("live: updates by itself")


def test_still_no_run_to_show(chromium: Browser, project: Suite) -> None:
    """A page that no run matches stays live when a run that does not match either comes."""
    project.write(test_it="def test_a(): pass")
    with (
        serving(project.root, "--branch", "other") as (_, port),
        looking(chromium, f"http://127.0.0.1:{port}/") as page,
    ):
        expect(page.locator("#live")).to_have_text("live: updates by itself")
        page.evaluate("document.title = 'before'")
        project.pytest()
        expect(page).not_to_have_title("before")
        expect(page.locator("#live")).to_have_text("live: updates by itself")
