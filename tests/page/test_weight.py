"""What the page weighs, and where its modules come from."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.page.conftest import DRAWN, ROOT, Viewer
from tests.page.stage import Stage

FIRST_VIEW_MAX = 150 * 1024

BUILT_FROM = (
    "pyproject.toml",
    "hatch_build.py",
    "package.json",
    "package-lock.json",
    "README.md",
    "LICENSE",
    ".gitignore",
)


async def test_a_first_view_is_light(stage: Stage, viewer: Viewer) -> None:
    """On a cold cache, as it goes over the wire; and it asks nobody but us."""
    page = await viewer.browser.new_page()
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    asked: set[str] = set()
    session.on("Network.requestWillBeSent", lambda sent: asked.add(sent["requestId"]))
    sizes: dict[str, int] = {}
    session.on(
        "Network.loadingFinished",
        lambda done: sizes.__setitem__(done["requestId"], done["encodedDataLength"]),
    )
    await page.goto(f"{stage.address}/")
    await page.wait_for_selector(".agent-row")
    async with asyncio.timeout(20):
        while len(asked - sizes.keys()) > 1:  # the stream has no end
            await page.evaluate(DRAWN)
    assert len(sizes) > 20
    assert sum(sizes.values()) <= FIRST_VIEW_MAX


async def test_what_the_browser_has_is_not_sent_again(stage: Stage, viewer: Viewer) -> None:
    """The second time a file is asked for, its tag is enough."""
    asked = viewer.browser.contexts
    assert asked == []
    page = await viewer.open()
    answers: list[int] = []
    page.on("response", lambda answer: answers.append(answer.status))
    await page.reload()
    await page.wait_for_selector(".agent-row")
    answer = await page.request.get(f"{stage.address}/static/main.js")
    tag = answer.headers["etag"]
    again = await page.request.get(
        f"{stage.address}/static/main.js", headers={"if-none-match": tag}
    )
    assert (again.status, await again.body()) == (304, b"")


def test_the_types_are_right() -> None:
    """The compiler that reads the JSDoc finds nothing."""
    checked = subprocess.run(  # noqa: S603  # our own compiler and words
        [ROOT / "node_modules" / ".bin" / "tsc", "-p", ROOT / "tsconfig.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout) == (0, "")


def test_no_markup_is_ever_made_of_text() -> None:
    """Nothing in our modules writes HTML, runs text, or names another host."""
    for file in (ROOT / "src/immune/web/static").rglob("*.js"):
        if "vendor" in file.parts:
            continue
        source = file.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", source)
        assert not re.search(r"dangerouslySet|new Function|https?://", source), file


def test_the_lock_names_no_registry() -> None:
    """Modules are found by name, version and integrity, wherever they are fetched from."""
    lock = (ROOT / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert lock.count('"integrity"') == lock.count('"version"')


def test_a_wheel_holds_the_modules_and_their_licences(tmp_path: Path) -> None:
    """They are never committed: the build hook puts them in."""
    tree, out = tmp_path / "tree", tmp_path / "out"
    tree.mkdir()
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, tree)
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("*.so", "*.pyc"))
    command = ["-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check"]
    built = subprocess.run(  # noqa: S603  # our own interpreter and words
        [sys.executable, *command, "-o", out, tree],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "IMMUNE_PURE": "1"},
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = out.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    vendor = {name.rpartition("/")[2] for name in names if "/static/vendor/" in name}
    assert {"preact.js", "preact-hooks.js", "htm.js", "uplot.js", "uplot.css"} <= vendor
    assert {"preact.LICENSE", "htm.LICENSE", "uplot.LICENSE"} <= vendor
    assert "immune/web/static/views/fleet.js" in names


def test_files_are_packed_once_at_start() -> None:
    """The largest module is a third of its size on the wire."""
    from immune.web.page import Page

    file = Page()._files["/static/vendor/uplot.js"]
    assert gzip.decompress(file.packed) == file.content
    assert len(file.packed) < len(file.content) / 3
