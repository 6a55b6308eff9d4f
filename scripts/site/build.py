"""Builds the documentation site into site/html: uv run --group site python scripts/site/build.py

The pages are those in pages/, the gallery, RESULTS.md, and a notebook whose cells run here. The build fails if a link,
an anchor, a picture or a name of the API reference does not exist, or if a page would load something from another
server.
"""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import yaml

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
SITE = REPOSITORY / "site"
sys.path.insert(0, str(HERE.parent))

from gallery import filled, write_gallery  # noqa: E402


def write_sources() -> None:
    """Collect all pages and the configuration in site/."""
    shutil.rmtree(SITE, ignore_errors=True)
    pages = SITE / "pages"
    shutil.copytree(HERE / "pages", pages)
    for name in ("report.png", "demo.png"):
        shutil.copy(REPOSITORY / "notebooks" / name, pages / "pictures")
    shutil.copy(REPOSITORY / "RESULTS.md", pages / "results.md")
    made = {
        "fool_yourself.md": run_notebook(REPOSITORY / "notebooks" / "fool_yourself.ipynb"),
        "no_lstm.md": filled((pages / "no_lstm.md").read_text(encoding="utf-8")),
    }
    for name, text in made.items():
        (pages / name).write_text(text, encoding="utf-8")
    config = yaml.safe_load((HERE / "mkdocs.yml").read_text())
    gallery = write_gallery(pages / "gallery")
    config["nav"] = [{"Gallery": gallery} if entry == {"Gallery": "gallery"} else entry for entry in config["nav"]]
    (SITE / "mkdocs.yml").write_text(yaml.safe_dump(config, sort_keys=False))


def run_notebook(path: Path) -> str:
    """Run the cells of a notebook in this process; return it as Markdown, with what the cells print."""
    parts, names = [], {"__name__": path.stem}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(text, str(path), "exec"), names)
        parts.append(f"```python\n{text}\n```")
        if printed.getvalue():
            parts.append(f"```text\n{printed.getvalue().rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


class Links(HTMLParser):
    """Collects the files that a page loads, and those that it links to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: set[str] = set()
        self.linked: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("src", "href"):
                (self.linked if tag == "a" else self.loaded).add(value)


def check(html: Path) -> list[str]:
    """Return what is wrong with the built pages: what Zensical's own checks do not see."""
    found = []
    for page in sorted(html.rglob("*.html")):
        links, name = Links(page), page.relative_to(html)
        found += [f"{name} loads {url}" for url in links.loaded if re.match(r"\w+:|//", url) and url[:5] != "data:"]
        if page.name == "404.html":  # its links start at the root of a server
            continue
        for url in links.loaded | links.linked:
            file = url.partition("#")[0].partition("?")[0]
            if file and not re.match(r"\w+:|//", url) and not (page.parent / file).exists():
                found.append(f"{name}: there is no {url}")
    return found


def main() -> None:
    """Build the site and check it."""
    write_sources()
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", "mkdocs.yml"]
    done = subprocess.run(command, cwd=SITE, env=os.environ | {"NO_COLOR": "1"}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    if wrong := check(SITE / "html"):
        raise SystemExit("\n".join(wrong))
    print(f"{len(list((SITE / 'html').rglob('*.html')))} pages: {SITE / 'html' / 'index.html'}")


if __name__ == "__main__":
    main()
