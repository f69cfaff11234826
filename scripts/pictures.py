"""`make pictures`: the pictures of the report that the README and `docs/history.md` show, of a sample project.

The project has two authors, two branches, and a run in which 4 of 186 tests fail: two are new on the branch and have
one cause, one fails on main, too, and one is flaky. The picture of the timeline is of another project, and stays.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from scripts import lab

PICTURES = {"report-light": (1040, 740), "phone-light": (390, 844)}
"""Widths and heights in pixels."""

SHOP = """
def total(prices, tax):
    return round(sum(prices) * (1 + tax), 2){mistake}


def search(word, words):
    return [each for each in words if each.startswith({word})]
"""
CART = """
import pytest
from shop import total


@pytest.mark.parametrize(("tax", "expected"), [(0.07, 3.21), (0.19, 3.57)])
def test_total(tax, expected):
    assert total([1, 2], tax) == expected


@pytest.mark.parametrize("price", range(100))
def test_price(price):
    assert total([price], 0) == price


@pytest.mark.skip(reason="needs a network")
def test_currencies(): ...
"""
SEARCH = """
import os
import pytest
from shop import search


def test_prefix():
    assert search("ap", ["Apple", "pear"]) == ["Apple"]


@pytest.mark.parametrize("number", range(81))
def test_nothing(number):
    assert search(f"{number}", []) == []


def test_queue():
    waiting = int(os.environ.get("WAITING", "0"))
    assert waiting == 0
"""


class Shop:
    """The sample project.

    Args:
        root: its folder, which is made anew.
    """

    def __init__(self, root: Path) -> None:
        shutil.rmtree(root, ignore_errors=True)
        (root / "tests").mkdir(parents=True)
        (root / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
        (root / "tests" / "test_cart.py").write_text(CART)
        (root / "tests" / "test_search.py").write_text(SEARCH)
        self._root = root
        lab.must(["git", "init", "-q", "-b", "main"], root)

    def commit(self, author: str, branch: str, *, mistake: str = "", word: str = "word.title()") -> None:
        """Commit the module to a branch, which may be new."""
        if branch != "main":
            lab.must(["git", "checkout", "-q", "-b", branch], self._root)
        (self._root / "shop.py").write_text(SHOP.format(mistake=mistake, word=word))
        lab.must(["git", "add", "shop.py", "pytest.ini", "tests"], self._root)
        name = ["-c", f"user.name={author}", "-c", "user.email=shop@example.com"]
        lab.must(["git", *name, "commit", "-q", "-m", "a change"], self._root)

    def test(self, runs: int, **environ: str) -> None:
        """Run the tests a number of times. Some of them may fail."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
        for _ in range(runs):
            lab.run(command, self._root, 60, lab.environ(**environ))

    def report(self) -> Path:
        """Write the report and return its path."""
        page = self._root / "report.html"
        lab.must([sys.executable, "-m", "pytest_swarmtask", "report", "--html", str(page)], self._root)
        return page


def main() -> int:
    """Make the pictures. Return 0."""
    shop = Shop(lab.CACHE / "pictures" / "shop")
    shop.commit("Grace", "main")
    shop.test(6)
    shop.test(1, WAITING="3")
    shop.commit("Grace", "main", word="word")
    shop.test(3)
    shop.commit("Ada", "taxes", word="word", mistake=" + 0.21 * (tax > 0)")
    shop.test(1)
    shop.test(1, WAITING="3")
    page = shop.report()
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        browser = playwright.chromium.launch(executable_path=path)
        for name, (width, height) in PICTURES.items():
            tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            tab.goto(page.as_uri())
            tab.screenshot(path=lab.ROOT / "docs" / "images" / f"{name}.png")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
