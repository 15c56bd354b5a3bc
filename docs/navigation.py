"""What mkdocs is told beside mkdocs.yml: the order of the pages, and the pages that lie in the project's root.

The order is that of the links in index.md, so that a new page is named in one place.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ROOT_PAGES = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+\.md)\)")


def pages() -> list[tuple[str, str]]:
    """Title and path, from docs/, of every page that index.md links, in its order."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    return [(title, path.removeprefix("../")) for title, path in LINK.findall(index)]


def on_config(config: Any) -> Any:
    names = sorted(path.name for path in (DOCS / "checks").glob("*.md") if path.name != "index.md")
    checks = [f"checks/{name}" for name in ("index.md", *names)]
    config.nav = [{"Why is this classifier wrong?": "index.md"}]
    config.nav += [{title: checks if path == "checks/index.md" else path} for title, path in pages()]
    return config


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    for name in ROOT_PAGES:
        content = (DOCS.parent / name).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """In the site, the root's pages lie beside those of docs/."""
    if page.file.src_uri in ROOT_PAGES:
        markdown = markdown.replace("](docs/", "](")
    return re.sub(rf"\]\(\.\./({'|'.join(map(re.escape, ROOT_PAGES))})", r"](\1", markdown)
