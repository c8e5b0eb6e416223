"""What MkDocs needs to show this repository's pages as GitHub shows them.

- Pages link to files outside of docs/, and to folders. Each linked file becomes part of the site, at the place that it
  has in the repository; README.md becomes the first page, and a folder a page that lists its files.
- Headings get the anchors that GitHub gives them.
- MkDocs reads another dialect of Markdown than GitHub (of lists above all). A page that the two would show differently
  is a warning, and so an error of a strict build. So is a page that would load something from another host.
"""

from __future__ import annotations

import html
import logging
import pathlib
import posixpath
import re
from collections import Counter
from collections.abc import Iterable

from markdown_it import MarkdownIt
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# MkDocs counts the warnings of loggers below its own.
LOG = logging.getLogger("mkdocs.hooks.site")

LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
# The elements that must agree.
COMPARED = {"h1", "h2", "h3", "h4", "h5", "h6", "p", "ul", "ol", "li", "pre", "code", "tr", "th", "td", "a", "img"}


def on_config(config: MkDocsConfig) -> None:
    config.mdx_configs["toc"] = {"slugify": anchor}


def anchor(heading: str, separator: str) -> str:
    """As GitHub makes it: lower case, without punctuation, with a hyphen for each space."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", separator)


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the first page and what pages link to outside of docs/, and what these link to."""
    waiting = ["README.md", *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        there = ROOT / path
        if there.is_dir():
            waiting += [f"{path}/{entry.name}" for entry in there.iterdir() if entry.is_file()]
            if not (there / "README.md").exists():
                files.append(File.generated(config, place(path), content=listing(there)))
            continue
        if files.get_file_from_path(place(path)) is None:
            files.append(File.generated(config, place(path), abs_src_path=str(there)))
        if path.endswith(".md"):
            waiting += linked_from(path, there.read_text(encoding="utf-8"))


def place(path: str) -> str:
    """Where something of the repository is in the site."""
    if path == "README.md":
        return "index.md"
    if (ROOT / path).is_dir():
        path = posixpath.join(path, "README.md" if (ROOT / path / "README.md").exists() else "index.md")
    return path.removeprefix("docs/")


def listing(folder: pathlib.Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    return f"# {folder.name}\n\n" + "".join(f"- [{name}]({name})\n" for name in names)


def linked_from(path: str, text: str) -> Iterable[str]:
    """The files and folders of the repository that a page links to."""
    for target, _ in LINK.findall(text):
        there = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        if not re.match(r"[a-z]+:", target) and (ROOT / there).exists():
            yield there


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Points links at the places that their targets have in the site."""
    here = source(page)

    def pointed(match: re.Match[str]) -> str:
        target, heading = match[1], match[2] or ""
        there = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
        if re.match(r"[a-z]+:", target) or not (ROOT / there).exists():
            return match[0]
        return f"]({posixpath.relpath(place(there), posixpath.dirname(page.file.src_uri) or '.')}{heading})"

    return LINK.sub(pointed, markdown)


def source(page: Page) -> str:
    """A page's path in the repository."""
    uri = page.file.src_uri
    if uri == "index.md":
        return "README.md"
    return f"docs/{uri}" if (ROOT / "docs" / uri).exists() else uri


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Warns if GitHub would show something else."""
    elsewhere = MarkdownIt("commonmark").enable("table").render(page.markdown or "")
    differing = elements(content) - elements(elsewhere) | elements(elsewhere) - elements(content)
    if differing or words(content) != words(elsewhere):
        LOG.warning("%s looks different on GitHub%s", source(page), first_difference(content, elsewhere, differing))


def elements(content: str) -> Counter[str]:
    return Counter(name for name in re.findall(r"<(\w+)", content) if name in COMPARED)


def words(content: str) -> list[str]:
    return html.unescape(re.sub(r"<[^>]*>", " ", content)).split()


def first_difference(content: str, elsewhere: str, differing: Counter[str]) -> str:
    for here, there in zip(words(content), words(elsewhere), strict=False):
        if here != there:
            return f": {here!r} here is {there!r} there"
    return f", in the number of {', '.join(sorted(differing))}. Indent what belongs to a list by four spaces"


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> None:
    """Warns if a reader's browser would ask another host for something."""
    for element in re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^>]*>", output):
        LOG.warning("%s loads something from another host: %s", source(page), element)
