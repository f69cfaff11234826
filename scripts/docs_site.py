"""MkDocs' hook for the documentation site: pages that are made from the code, and links that work there, too.

`docs/` is read on the site and in the repository. The site has more pages. Three are files of the repository's root.
The others are references, which `scripts.docs_reference` makes from the code while the site is built.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.docs_reference import PAGES

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
COPIED = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files of the repository's root that are pages of the site, by the names of the pages."""
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s]+)\)")
_IMAGE = re.compile(r'<img src="(?P<target>[^"]*)" alt="(?P<text>[^"]*)" width="(?P<width>\d+)">')
"""An image with a width, which Markdown alone cannot say in the repository. MkDocs leaves addresses in HTML alone."""
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_ADDRESS = re.compile(r"[a-z]+:")


# --- what MkDocs calls ------------------------------------------------------------------------------------------------


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in `docs/`."""
    from mkdocs.structure.files import File

    pages = {page: (ROOT / name).read_text("utf-8") for name, page in COPIED.items()}
    for page, text in (pages | {page: make() for page, make in PAGES.items()}).items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs passes all
    """Make the links of a page work on the site."""
    names = {name: source for source, name in COPIED.items()}
    path = page.file.src_uri
    return links(markdown, names.get(path, f"docs/{path}"), config.extra["repository"])


# --- links ------------------------------------------------------------------------------------------------------------


def links(markdown: str, path: str, repository: str) -> str:
    """Return a page whose links to files of the repository work on the site.

    Args:
        markdown: the page. Its code blocks stay as they are.
        path: its place in the repository, such as ``docs/team.md``.
        repository: the address of the repository. Without one, a link to a file that is no page becomes its text.
    """

    def link(found: re.Match[str]) -> str:
        target, _, heading = found["target"].partition("#")
        if not target or _ADDRESS.match(target):
            return found[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        anchor = f"#{heading}" if heading else ""
        if place in COPIED:
            return f"{found['image']}[{found['text']}]({COPIED[place]}{anchor})"
        if place.startswith("docs/"):
            return f"{found['image']}[{found['text']}]({place.removeprefix('docs/')}{anchor})"
        if not repository:
            return found["text"]
        return f"{found['image']}[{found['text']}]({repository}/tree/HEAD/{place}{anchor})"

    markdown = _IMAGE.sub(r"![\g<text>](\g<target>){width=\g<width>}", markdown)
    parts, end = [], 0
    for code in _CODE.finditer(markdown):
        parts += [_LINK.sub(link, markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _LINK.sub(link, markdown[end:])])
