"""A held draft of another engine at the console: whose it is, what the engine hears."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.workflows.gate_cases import Origin
from tests.api.conftest import Served
from tests.api.gate import gate
from tests.api.history import invoice, line_of
from tests.browser.conftest import Console
from tests.browser.test_reviewer import reason_box, shoot


@pytest.fixture
def gated(sqlite_store: Store, settings: Settings, lake: Lake) -> Iterator[tuple[Console, str]]:
    """The console with two cases of ours and one on a draft that Stripe made."""
    with gate(sqlite_store, settings, lake) as served:
        case_id = scored(served, settings, lake)
        yield Console(served.url, served.store, served.people, case_id), case_id


def scored(served: Served, settings: Settings, lake: Lake) -> str:
    from prebill.api.context import Services
    from prebill.bootstrap import Installation
    from prebill.store.users import Role

    services = Services(Installation(settings, served.store, lake))
    one = {**invoice(8, 12, times=10), "invoice_id": "in_1QxTenfold00008"}
    with served.store.transaction() as tx:
        customer = {"customer_id": one["customer_id"], "name": "Hafen & Söhne KG", "country": "DE"}
        tx.insert("customers", customer)
    given = {"invoices": [one], "invoice_lines": [line_of(one)]}
    origin = Origin("stripe", ("engine:stripe",), tells_decisions=True)
    actor = served.people[Role.CONTROLLER].actor
    return str(services.hook.score(services.catalog, given, actor, origin)[0]["case_id"])


def test_case_of_another_engine_is_released(
    gated: tuple[Console, str], page: Page, tmp_path: Path
) -> None:
    console, _ = gated
    console.sign_in(page)
    shoot(page, tmp_path, "queue")
    row = page.locator("tr[data-row]", has_text="Hafen & Söhne KG")
    expect(row).to_contain_text("in_1QxTenfold00008 · Oct 2026 · Stripe")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("more than expected")
    facts = page.get_by_label("Customer and contract")
    expect(facts).to_contain_text("Stripe")
    expect(facts).to_contain_text("waits for the worker")
    expect(page.get_by_text("A correction is made in Stripe")).to_be_visible()
    expect(page.get_by_text("Correct usage")).to_have_count(0)
    expect(page.get_by_text("times the median of the last 12 invoices")).to_be_visible()
    shoot(page, tmp_path, "case")
    reason_box(page).select_option("unusual_but_right")
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_role("status")).to_contain_text("Released. Stripe is told to issue it.")
    shoot(page, tmp_path, "released")


def test_case_of_another_engine_is_rejected(gated: tuple[Console, str], page: Page) -> None:
    console, case_id = gated
    console.sign_in(page)
    page.goto(f"{console.url}/cases/{case_id}")
    reason_box(page).select_option("wrong_quantity")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("status")).to_contain_text(
        "keep it a draft; correct or delete it there"
    )
    with console.store.read() as tx:
        assert tx.get("verdicts", case_id=case_id)["verdict"] == "reject"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_its_page_fits_and_can_be_looked_at(
    gated: tuple[Console, str], browser: Browser, tmp_path: Path, scheme: str, width: int
) -> None:
    console, case_id = gated
    context = browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 900},
    )
    page = context.new_page()
    console.sign_in(page)
    shoot(page, tmp_path, "queue")
    page.goto(f"{console.url}/cases/{case_id}")
    shoot(page, tmp_path, "case")
    context.close()
