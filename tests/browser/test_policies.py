"""A policy changes hands in the browser: written, simulated, approved, live, rolled back."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from prebill.store.users import Role
from tests.browser.conftest import Console
from tests.browser.test_reviewer import shoot
from tests.workflows.lives import text


def write(page: Page, content: str) -> None:
    page.get_by_role("textbox", name="Text").fill(content)


def test_two_people_put_a_policy_in_force(
    console: Console, browser: Browser, page: Page, tmp_path: Path
) -> None:
    console.sign_in(page, Role.CONTROLLER)
    page.get_by_role("link", name="Policies").click()
    expect(page.get_by_text("In force: default")).to_be_visible()
    page.keyboard.press("n")
    page.wait_for_url("**/policies/new")
    write(page, text("next").replace("sla_hours:", "sla_hour:"))
    expect(page.get_by_text("sla_hour", exact=False).last).to_be_visible()  # while it is written
    write(page, text("next", minutes=9))
    expect(page.get_by_text("The text is right: next")).to_be_visible()
    shoot(page, tmp_path, "editor")
    page.get_by_label("What it is for").fill("Reviews cost more since May")
    page.get_by_role("button", name="Save the draft").click()
    expect(page.get_by_role("status")).to_contain_text("Saved.")
    expect(page.get_by_text("+name: next")).to_be_visible()
    page.get_by_role("button", name="Submit for approval").click()
    expect(page.get_by_role("status")).to_contain_text("Submitted")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    address = page.url.partition("?")[0]

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    other = context.new_page()
    console.sign_in(other, Role.ADMIN)
    other.goto(address)
    shoot(other, tmp_path, "to-approve")
    other.get_by_role("button", name="Approve").click()
    expect(other.get_by_role("status")).to_contain_text("Approved.")
    other.get_by_role("button", name="Activate").click()
    expect(other.get_by_text("In force since")).to_be_visible()
    shoot(other, tmp_path, "live")
    page.goto(f"{console.url}/policies")
    expect(page.get_by_text("In force: next")).to_be_visible()
    shoot(page, tmp_path, "policies")
    page.goto(address)
    page.get_by_label("Reason").fill("It holds everything")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("status")).to_contain_text("in force again")
    page.goto(address)
    expect(page.get_by_text("rolled back: “It holds everything”")).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_fits_and_can_be_looked_at(
    console: Console, browser: Browser, tmp_path: Path, scheme: str, width: int
) -> None:
    context = browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 900},
        java_script_enabled=False,
    )
    page = context.new_page()
    console.sign_in(page, Role.CONTROLLER)
    page.goto(f"{console.url}/policies")
    shoot(page, tmp_path, "none")
    page.goto(f"{console.url}/policies/new")
    write(page, "version: 1\n" + "a: " + "long " * 80)
    page.get_by_role("button", name="Save the draft").click()
    expect(page.get_by_role("alert")).to_be_visible()
    shoot(page, tmp_path, "wrong")
    write(page, text("next", minutes=9))
    page.get_by_label("What it is for").fill("Reviews cost more since May")
    page.get_by_role("button", name="Save the draft").click()
    page.get_by_role("button", name="Submit for approval").click()
    shoot(page, tmp_path, "version")
    page.goto(f"{console.url}/policies")
    shoot(page, tmp_path, "policies")
    context.close()
