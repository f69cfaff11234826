"""The pages of `swarmtask serve` in a real browser: Chromium without a window, see `tests/report/test_browser.py`."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.history.made import Process
from tests.report.test_html import hostile
from tests.served import Served, serving
from tests.shop import Shop
from tests.suite import Suite

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, Page, expect

from tests.report.test_browser import LOOKS, PATIENCE, axe, chromium, is_wide, looking

__all__ = ["axe", "chromium", "hostile"]

pytestmark = pytest.mark.slow

PLACES = [
    "/",
    "/p/shop/",
    "/p/shop/failures",
    "/p/shop/flaky",
    "/p/shop/slowest",
    "/p/shop/tests",
    f"/p/shop/test?name={urllib.parse.quote('test_shop.py::test_total')}",
    "/p/shop/runs/{run}",
]


@pytest.fixture(scope="module")
def server(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with the shop."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        running.push(shop.suite, "shop")
        running.settle()
        yield running


def findings(page: Page, axe: str) -> list[Any]:
    """Return everything that axe finds wrong in a page."""
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 10
    return list(found["violations"])


@pytest.fixture(params=PLACES)
def address(request: pytest.FixtureRequest, server: Served, shop: Shop) -> str:
    """The address of each page."""
    return server.url + str(request.param).format(run=shop.sessions[-1].start["trace_id"])


@LOOKS
def test_for_everybody(chromium: Browser, axe: str, address: str, scheme: str, width: int) -> None:
    """axe finds nothing, the page is not wider than the screen, and the browser refuses nothing that the page does."""
    with looking(chromium, address, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert not is_wide(page)
        problems = findings(page, axe)
    assert not problems, json.dumps(problems, indent=1)


def test_from_the_projects_to_the_cause_with_the_keyboard(chromium: Browser, server: Served) -> None:
    with looking(chromium, f"{server.url}/") as page:
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the page")).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="shop")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Runs")).to_be_visible()
        page.locator("tbody a").first.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="failed pytest_run")).to_be_visible()
        page.get_by_role("link", name="test_shop.py::test_total").first.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="test_shop.py::test_total", level=1)).to_be_visible()
        page.locator("summary").first.focus()
        page.keyboard.press("Enter")
        expect(page.locator("details.evidence pre").first).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["with a script", "without"])
def test_asking(chromium: Browser, server: Served, scripts: bool) -> None:
    """The forms work with and without a script, and the policy lets them."""
    with looking(chromium, f"{server.url}/", java_script_enabled=scripts) as page:
        page.goto(f"{server.url}/p/shop/tests")
        page.get_by_label("Part of a node id").fill("TestCart")
        page.get_by_role("button", name="Find").click()
        expect(page.locator("tbody tr")).to_have_count(3)
        page.get_by_role("link", name="test_shop.py::TestCart::test_add").click()
        page.get_by_label("Branch").select_option("main")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("heading", name="Results", exact=True)).to_be_visible()
        assert page.url.endswith("&branch=main")
        expect(page.locator("tbody tr")).to_have_count(5)


def test_the_list_of_a_run_leads_to_the_tests(chromium: Browser, server: Served, shop: Shop) -> None:
    """With a script the list of all tests is made in the browser; its links lead to the same pages as without."""
    run = f"{server.url}/p/shop/runs/{shop.sessions[-1].start['trace_id']}"
    with looking(chromium, f"{server.url}/") as page:
        page.goto(run)
        page.get_by_label("Search").fill("many[3]")
        page.locator("#rows a").click()
        expect(page.get_by_role("heading", name="test_shop.py::test_many[3]", level=1)).to_be_visible()


@pytest.mark.long
def test_a_theme_for_all_pages(chromium: Browser, server: Served) -> None:
    with looking(chromium, f"{server.url}/", color_scheme="light") as page:
        page.get_by_label("Theme").select_option("dark")
        page.get_by_role("link", name="shop").click()
        expect(page.get_by_role("heading", name="Runs")).to_be_visible()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("width", [390, pytest.param(1440, marks=pytest.mark.long)])
def test_hostile_texts_are_inert(chromium: Browser, hostile: Path, tmp_path: Path, width: int) -> None:
    with serving(tmp_path / "server") as running:
        running.push(Suite(hostile), "bad")
        running.settle()
        for place in ("", "failures", "flaky", "slowest", "tests", f"runs/{'f' * 32}"):
            with looking(chromium, f"{running.url}/p/bad/{place}", viewport={"width": width, "height": 900}) as page:
                assert page.evaluate("typeof hacked") == "undefined"
                assert not is_wide(page), place


def test_a_run_that_goes_on(chromium: Browser, tmp_path: Path) -> None:
    """The page on a run shows new results by itself, keeps what was searched for, and stops asking at the end."""
    process = Process(tmp_path / "made", "a" * 32)
    names = [f"t.py::test_{number}" for number in range(4)]
    events = process.session(dict.fromkeys(names, "passed") | {names[3]: "failed"})
    with serving(tmp_path) as running:
        running.send(events[:5], "p")
        running.settle()
        with looking(chromium, f"{running.url}/p/p/runs/{'a' * 32}") as page:
            expect(page.locator("#live")).to_have_text("live: updates by itself")
            expect(page.locator("#rows tr")).to_have_count(2)
            page.get_by_label("Search").fill("test_3")
            running.send(events[5:], "p")
            expect(page.locator("#failures")).to_contain_text("t.py::test_3 is wrong", timeout=PATIENCE)
            expect(page.locator("#head")).to_contain_text("✕ failed", timeout=PATIENCE)
            expect(page.locator("#rows tr")).to_have_count(1)
            expect(page.get_by_label("Search")).to_have_value("test_3")
            expect(page.locator("#live")).to_have_text("")
