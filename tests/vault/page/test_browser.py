"""A class at work, in a real browser: the page and the leaderboard move, the instructor acts, forty tabs stay alive.

Pictures of every station are left in artefacts/browser/ (not kept by git).
"""

import itertools
import re
import threading
from urllib.parse import urlparse

import numpy as np
import pytest
import torch
from playwright.sync_api import expect

from course_lib.models import mlp
from course_lib.vault.client import Refused
from course_lib.vault.local import LocalVault
from tests.browser import in_a_browser, new_page, picture
from tests.waiting import HANG, until

SCRIPT = "<script>alert(1)</script>"
CLASS = [f"{colour}-{animal}" for animal in ("fox", "heron", "otter", "lark") for colour in ("amber", "blue", "calm")]
NAMELESS = """() => [
    ...[...document.querySelectorAll('input, textarea')].filter(field => !field.labels.length),
    ...[...document.querySelectorAll('button, a, summary')].filter(one => !one.textContent.trim() && !one.ariaLabel && !one.hidden),
    ...[...document.querySelectorAll('main svg, [role=region]')].filter(part => !part.getAttribute('aria-label')),
    ...[...document.querySelectorAll('th')].filter(head => !head.scope),
].map(one => one.outerHTML.slice(0, 80))"""
CHART_WIDTHS = """() => {
    const chart = document.querySelector('#traffic-chart');
    return [chart.viewBox.baseVal.width, chart.getBoundingClientRect().width];
}"""

pytestmark = in_a_browser


class AtWork:
    """A class of simulated clients: each asks a few random questions, again and again, until the lesson ends."""

    def __init__(self, vault, names):
        self.over, self.refused = threading.Event(), {}
        self.threads = [threading.Thread(target=self.work, args=(vault, name), daemon=True) for name in names]
        for thread in self.threads:
            thread.start()

    def work(self, vault, name):
        oracle, rng = vault.oracle(name), np.random.default_rng(len(name))
        while not self.over.wait(rng.uniform(0.1, 0.6)):
            try:
                oracle(rng.uniform(size=(int(rng.integers(1, 9)), 64)))
            except Refused as refusal:
                self.refused[name] = str(refusal)
                return

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(HANG)


@pytest.fixture
def vault():
    keys = {
        name: {"cohort": ["red", "blue", "green"][i % 3], "budget": 10**6} for i, name in enumerate([*CLASS, SCRIPT])
    }
    vault = LocalVault(keys=keys | {"teacher": {"scope": "instructor"}}, class_name="spring")
    vault.new_key("ada", accepted=False, cohort="red", budget=100)
    yield vault
    vault.close()


class Watching:
    """Opens pages, and keeps what they asked for and what went wrong in them."""

    def __init__(self, browser, **options):
        self.context = browser.new_context(**{"viewport": {"width": 1360, "height": 1000}, **options})
        self.hosts, self.wrong, self.statuses = set(), [], []

    def open(self, address):
        page = new_page(self.context)
        page.on("request", lambda request: self.hosts.add(urlparse(request.url).hostname))
        page.on("response", lambda response: "/live/" in response.url and self.statuses.append(response.status))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog {dialog.message}"))
        page.on("console", lambda said: "Content Security Policy" in said.text and self.wrong.append(said.text))
        page.goto(address)
        return page


def in_time(page, happened):
    """What happened() gives, waited for while the pages go on."""
    return until(happened, rest=lambda: page.wait_for_timeout(100))


def answered(page):
    """The questions that the page says were answered."""
    figure = page.locator("#figures div", has_text="questions answered").locator("dd")
    return int(figure.inner_text().replace(",", ""))


def moves(page, times=3):
    """The number of answered questions grows again and again, with nobody touching the page."""
    for _ in range(times):
        before = answered(page)
        assert before < in_time(page, lambda before=before: answered(page) != before and answered(page))
    return True


def solved(oracle, questions):
    """A linear copy from so many answers: equations for the logits, which the probabilities are up to a constant."""
    x = np.random.default_rng(0).uniform(size=(questions, 64))
    logits = np.log(oracle(x))
    a = np.concatenate([x, np.ones((questions, 1))], 1)
    solution = np.linalg.lstsq(a, logits - logits.mean(1, keepdims=True), rcond=None)[0]
    copy = mlp(64, 10).double()
    with torch.no_grad():
        copy[1].weight.copy_(torch.from_numpy(solution[:64].T))
        copy[1].bias.copy_(torch.from_numpy(solution[64]))
    return copy


def test_a_class_at_work(browser, vault):
    watching = Watching(browser)
    page = watching.open(vault.address)

    # Nobody asks yet, so nothing moves: the page is told so, without a body.
    assert in_time(page, lambda: 304 in watching.statuses)

    # The first visit: the rules, and a key that accepts them. By keyboard alone.
    expect(page.locator("#rules-text li")).to_have_count(7)
    page.locator("#key").focus()
    page.keyboard.type("vk_spring_wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#accept-said")).to_contain_text("✕")
    page.locator("#key").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type(vault.keys["ada"])
    page.keyboard.press("Tab")
    picture(page, "vault_1_rules")
    page.keyboard.press("Enter")
    expect(page.locator("#accept-said")).to_contain_text("You are ada")
    assert vault.oracle("ada")(np.zeros((1, 64))).shape == (1, 10)
    expect(page.locator("#rules")).not_to_have_attribute("open", "")
    expect(page.locator("#keys-table tr", has_text="ada (you)")).to_contain_text("99 of 100")
    assert vault.keys["ada"] not in page.evaluate(
        "JSON.stringify([localStorage, sessionStorage]) + document.body.innerHTML"
    )

    # The class works: the page moves by itself, for eyes and for a screen reader.
    working = AtWork(vault, [*CLASS, SCRIPT])
    assert moves(page)
    chart = page.locator("#traffic-chart")
    expect(chart).to_have_attribute("aria-label", re.compile(r"Questions per second.*at most [1-9]"))
    assert re.search(r"V[\d.]+h", page.locator("#traffic-chart .bars").get_attribute("d"))
    expect(page.locator("#cohorts-table tbody tr")).to_have_count(4)

    # A name that is markup is a name.
    row = page.locator("#keys-table th[scope=row]", has_text=SCRIPT)
    expect(row).to_have_text(SCRIPT)
    assert page.evaluate("document.querySelectorAll('main script').length") == 0

    # Copies come in, and the board moves.
    expect(page.locator("#board-table")).to_contain_text("No copy has been handed in yet")
    vault.oracle("calm-lark").submit(mlp(64, 10))
    expect(page.locator("#board-table tbody tr")).to_have_count(1)
    vault.oracle("ada").submit(solved(vault.oracle("ada"), 65))
    first = page.locator("#board-table tbody tr").first
    expect(first).to_contain_text("ada")
    expect(first).to_contain_text("100% [99, 100]")
    expect(page.locator("#board-chart")).to_have_attribute("aria-label", re.compile("ada: 100% after 66 questions"))
    picture(page, "vault_2_class", whole=True)

    # The instructor, by keyboard: signs in, pauses, opens, sets a policy, revokes.
    teaching = Watching(browser)
    desk = teaching.open(f"{vault.address}/instructor")
    expect(desk.locator("#sign-in")).to_be_visible()
    expect(desk.locator("#signed-in")).to_be_hidden()
    desk.locator("#instructor-key").focus()
    desk.keyboard.type(vault.keys["ada"])
    desk.keyboard.press("Enter")
    expect(desk.locator("#sign-in-said")).to_contain_text("this takes one for instructor")
    desk.keyboard.press("Control+A")
    desk.keyboard.type(vault.keys["teacher"])
    desk.keyboard.press("Enter")
    expect(desk.locator("#signed-in")).to_be_visible()
    assert desk.evaluate("document.cookie") == ""  # no script reads the session
    desk.locator("#pause").press("Enter")
    expect(page.locator("#status")).to_have_text("❚❚ Paused by the instructor")
    desk.locator("#pause").press("Enter")
    expect(page.locator("#status")).to_have_text("● Open")
    editor = desk.locator("#policy-text")
    editor.fill('[output]\nkind = "labels"\n')
    desk.locator("#policy-form button[type=submit]").press("Enter")
    expect(desk.locator("#policy-said")).to_contain_text("Line 2")
    assert editor.get_attribute("aria-invalid") == "true"
    assert editor.evaluate("e => e.value.slice(e.selectionStart, e.selectionEnd)") == 'kind = "labels"'
    picture(desk, "vault_3_instructor", whole=True)
    editor.fill('[output]\nkind = "label"\n')
    desk.locator("#policy-form button[type=submit]").press("Enter")
    expect(page.locator("#policy-words")).to_contain_text("An answer is the label alone.")
    assert vault.oracle("ada")(np.zeros((1, 64))).max() == 1
    desk.get_by_role("button", name="Revoke amber-fox").press("Enter")
    expect(desk.locator("#sure")).to_be_visible()
    desk.keyboard.press("Escape")  # no
    desk.get_by_role("button", name="Revoke amber-fox").press("Enter")
    desk.keyboard.press("Tab")
    desk.keyboard.press("Enter")  # yes
    expect(page.locator("#keys-table tr", has_text="amber-fox")).to_contain_text("✕ revoked")
    assert in_time(desk, lambda: "revoked" in working.refused.get("amber-fox", ""))

    # Forty tabs in one browser: all of them move.
    tabs = [page] + [watching.open(vault.address) for _ in range(39)]
    assert all(moves(tab, times=2) for tab in (tabs[0], tabs[19], tabs[39]))
    working.end()
    total = vault.state()["totals"]["rows"]
    for tab in tabs:
        expect(tab.locator("#figures")).to_contain_text(f"{total:,}")
    for tab in tabs[1:]:
        tab.close()

    # The instructor stops the vault, and the page says so.
    assert not {status for status in watching.statuses if status >= 400}
    desk.locator("#stop").press("Enter")
    desk.keyboard.press("Tab")
    desk.keyboard.press("Enter")
    vault.process.wait(HANG)
    expect(page.locator("#status")).to_contain_text("No answer")
    assert watching.wrong + teaching.wrong == []
    assert watching.hosts | teaching.hosts == {"127.0.0.1"}  # no request to another host


def test_the_page_fits_on_a_phone_and_on_a_wall_in_light_and_in_dark_and_everything_has_a_name(browser, vault):
    vault.oracle("calm-lark").submit(mlp(64, 10))
    for scheme, width in itertools.product(("light", "dark"), (320, 1360)):
        watching = Watching(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = watching.open(vault.address)
        desk = watching.open(f"{vault.address}/instructor#key={vault.keys['teacher']}")
        expect(desk.locator("#signed-in")).to_be_visible()
        assert "vk_" not in desk.url  # a link with a key in it is used once
        expect(page.locator("#board-table tbody tr")).to_contain_text("calm-lark")
        for one in (page, desk):
            assert one.evaluate("document.documentElement.scrollWidth") <= width
            assert one.evaluate(NAMELESS) == []
            drawn, shown = one.evaluate(CHART_WIDTHS)
            assert drawn == pytest.approx(max(shown, 280), abs=1)
        picture(page, f"vault_4_{scheme}_{width}", whole=True)
        picture(desk, f"vault_5_{scheme}_{width}", whole=True)
        assert watching.wrong == []
        watching.context.close()


def test_two_keys_of_one_name_keep_a_row_each_and_revoke_is_the_row_s_own(browser, vault):
    for _ in range(2):
        vault.new_key("twin")
    first, second = [key["id"] for key in vault.state()["keys"] if key["pseudonym"] == "twin"]
    watching = Watching(browser)
    page, desk = watching.open(vault.address), watching.open(f"{vault.address}/instructor#key={vault.keys['teacher']}")
    for rows in range(1, 4):  # drawn again and again
        vault.oracle("twin")(np.zeros((1, 64)))
        for one in (page, desk):
            expect(
                one.locator("#keys-table tr", has_text="twin").locator("td:nth-child(3)", has_text=str(rows))
            ).to_be_visible()
            expect(one.locator("#keys-table tr", has_text="twin")).to_have_count(2)
    desk.get_by_role("button", name=f"Revoke twin (key {first})").press("Enter")
    desk.keyboard.press("Tab")
    desk.keyboard.press("Enter")
    expect(desk.locator("#keys-table tr", has_text=f"twin (key {first})")).to_contain_text("✕ revoked")
    assert {key["id"]: key["revoked"] for key in vault.state()["keys"] if key["pseudonym"] == "twin"} == {
        first: True,
        second: False,
    }
    assert watching.wrong == []


def test_a_key_is_moved_by_keyboard_and_a_file_that_is_no_policy_is_told(browser, vault):
    watching = Watching(browser)
    desk = watching.open(f"{vault.address}/instructor#key={vault.keys['teacher']}")
    row = desk.locator("#keys-table tr", has_text="calm-lark")
    for cohort in ("linked", "green", "linked"):
        desk.get_by_role("button", name="Move calm-lark").press("Enter")
        expect(desk.get_by_label("Cohort", exact=True).last).to_be_focused()
        desk.keyboard.type(cohort)
        desk.keyboard.press("Enter")
        expect(row.locator("td").first).to_have_text(cohort)
    desk.get_by_role("button", name="Move calm-lark").press("Enter")
    assert desk.locator("#move").evaluate(NAMELESS) == []
    picture(desk, "vault_6_move", whole=True)
    desk.keyboard.type("nowhere")
    desk.keyboard.press("Escape")
    (vault.folder / "policy.toml").write_text("[output]\nkind = 3\n", encoding="utf-8")
    said = desk.get_by_role("status").and_(desk.locator("#policy-refused"))
    expect(said).to_contain_text("this policy stays. policy.toml, line 2: kind takes")
    picture(desk, "vault_7_refused", whole=True)
    (vault.folder / "policy.toml").write_text("[output]\ndecimals = 3\n", encoding="utf-8")
    expect(said).to_have_text("")
    assert row.locator("td").first.inner_text() == "linked" and watching.wrong == []


def test_who_is_unusual_is_lifted_from_its_own_row_by_keyboard(browser, vault):
    vault.set_policy('[monitor]\naction = "block"\nvolume = 5\n')
    for name in ("calm-lark", "blue-fox"):
        with pytest.raises(Refused, match="Your teacher can look at it and lift it"):
            vault.oracle(name)(np.zeros((60, 64)))
    watching = Watching(browser)
    desk = watching.open(f"{vault.address}/instructor#key={vault.keys['teacher']}")
    expect(desk.locator("#keys-table button", has_text="Lift")).to_have_count(2)
    for table, whose in (("#keys-table", "key calm-lark"), ("#cohorts-table", "cohort green")):
        desk.locator(table).get_by_role("button", name=f"Lift the alarm on {whose}").press("Enter")
        desk.keyboard.press("Tab")
        desk.keyboard.press("Enter")
        expect(desk.locator("#did")).to_contain_text("starts afresh")
        expect(desk.locator(table).get_by_role("button", name=f"Lift the alarm on {whose}")).to_have_count(0)
    expect(desk.locator("#keys-table button", has_text="Lift")).to_have_count(1)
    assert watching.wrong == []
