"""The docs' pictures: taken on every run, written to docs/images only with ``--shots``."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from immune.desk import Decision
from immune.incidents.states import State
from tests.page.conftest import CHROMIUM, PHONE, ROOT, Viewer, settled
from tests.page.stage import Stage

IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1280, "height": 800}
BYTES_MAX = 300_000

SHOTS = {
    "fleet": ("", ".map canvas"),
    "decision": ("queue/{case}", ".decide"),
    "agent": ("agents/{agent}", ".vital canvas"),
    "incident": ("incidents/{cured}", ".stepper"),
    "fleet-incident": ("incidents/{shared}", ".members li"),
    "healings": ("healings", ".healings tbody tr"),
    "chaos": ("chaos", ".list tbody tr"),
}


async def _lived(stage: Stage) -> dict[str, str]:
    """A fleet in which much has happened."""
    earlier = await stage.severe("support-12")
    await stage.home.system.desk.approve(Decision(earlier.id, earlier.version), who="ann")
    await stage.until(lambda: earlier.id not in [c.id for c in stage.cases(*State)])
    for agent, infection, strain in [
        ("coder-01", "tool_loop", "planner"),
        ("coder-07", "token_explosion", "verbose_setting"),
        ("support-03", "latency_spike", "slow_tool"),
        ("researcher-12", "memory_corruption", None),
        ("researcher-04", "prompt_drift", None),
    ]:
        stage.chaos.inject(agent, infection, strain)
    await stage.until(lambda: len(stage.cases(State.HEALING, State.PROBATION)) > 1)
    cured = stage.cases(State.HEALING, State.PROBATION)[0]
    for _ in range(60):
        await stage.second()
    stage.chaos.inject("support-10", "release")
    await stage.until(lambda: any(c.is_fleet for c in stage.cases(State.OBSERVED)))
    shared = next(c for c in stage.cases(State.OBSERVED) if c.is_fleet)
    stage.chaos.inject("coder-13", "tool_loop", "poisoned_memory")
    await stage.severe("researcher-08")
    case = await stage.severe("coder-05")
    stage.running = False
    return {"agent": "coder-05", "case": case.id, "cured": cured.id, "shared": shared.id}


async def _shoot(page: Page, name: str, folder: Path) -> None:
    await settled(page)
    await page.screenshot(path=folder / f"{name}.png")
    assert 10_000 < (folder / f"{name}.png").stat().st_size < BYTES_MAX


async def test_the_docs_pictures(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Each view of a fleet that has lived through something, of moderate size."""
    folder = IMAGES if request.config.getoption("--shots") else tmp_path / "images"
    folder.mkdir(parents=True, exist_ok=True)
    async with Stage(tmp_path / "data", agents=60) as stage, async_playwright() as playwright:
        names = await _lived(stage)
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--no-proxy-server"]
        )
        viewer = Viewer(browser, stage.address)
        page = await viewer.open(viewport=SIZE, color_scheme="light")
        for name, (view, ready) in SHOTS.items():
            await page.goto(f"{stage.address}/#/{view.format(**names)}")
            await expect(page.locator(ready).first).to_be_visible()
            await _shoot(page, name, folder)
        dark = await viewer.open(viewport=SIZE, color_scheme="dark")
        await _shoot(dark, "fleet-dark", folder)
        phone = await viewer.open(f"queue/{names['case']}", viewport=PHONE, color_scheme="light")
        await expect(phone.locator(".decide")).to_be_visible()
        await _shoot(phone, "phone", folder)
        await browser.close()
        assert viewer.faults == []
