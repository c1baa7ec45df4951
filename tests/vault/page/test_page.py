"""The page: one answer for everybody, nothing of anybody's; and an instructor's doings, for nobody else."""

import asyncio
import re

import numpy as np
import pytest

from course_lib.vault.board import Leaderboard
from course_lib.vault.http import openapi
from course_lib.vault.page import pages, routes
from course_lib.vault.policy import Policy, PolicyError, in_words, parse
from course_lib.vault.refusal import Refusal
from course_lib.vault.service import Service
from tests.vault.asking import VICTIMS, ask, asking, mounted
from tests.vault.world import Clock
from tests.waiting import HANG

SCRIPT = "<script>alert(1)</script>"
OURS = {"origin": "http://localhost:8000"}
QUESTION = np.full((1, 64), 0.5)


class World:
    """A vault with a learner's and an instructor's key, and its page."""

    def __init__(self, folder):
        self.clock, self.second, self.stopped = Clock(), Clock(0.0), 0
        self.service = Service(folder, clock=self.clock, victims=VICTIMS, class_name="spring")
        self.learner = self.service.new_key(SCRIPT, cohort="red", budget=100)
        self.service.accept_rules(self.learner)
        self.teacher = self.service.new_key("teacher", scope="instructor")
        board = Leaderboard(self.service, copies=500)
        self.app = mounted(routes.routes(self.service, board, stop=self.stop, clock=self.second))

    def stop(self):
        self.stopped += 1

    def ask(self):
        return self.service.ask(self.learner, "digits-linear", QUESTION).result(HANG)

    def login(self, key=None, headers=OURS, **options):
        return ask(self.app, "POST", "/live/login", {"key": self.teacher if key is None else key}, headers, **options)

    def signed_in(self):
        cookie = self.login().headers["set-cookie"].partition(";")[0]
        return OURS | {"cookie": cookie}

    def id(self, pseudonym):
        return next(key["id"] for key in self.service.keys() if key["pseudonym"] == pseudonym)


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.service.close()


# ---- what is served ----


@pytest.mark.parametrize("address", [*routes.FILES, "/live/state"])
def test_everything_comes_with_a_policy_that_lets_the_browser_run_and_ask_for_our_own_alone(world, address):
    said = ask(world.app, "GET", address)
    assert said.status == 200
    assert said.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert (
        "unsafe" not in said.headers["content-security-policy"] and said.headers["x-content-type-options"] == "nosniff"
    )


@pytest.mark.parametrize("name", sorted({name for name, _ in routes.FILES.values()}))
def test_the_page_names_no_other_host_and_has_no_inline_script_or_style(name):
    text = routes.content(name).decode().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|\burl\(|@import|[\"'(=]//", text)
    assert not re.search(r"<style|\sstyle=|\son\w+=\"|<script>|javascript:|innerHTML|insertAdjacent|eval\(", text)


def test_every_file_beside_the_page_is_served_and_the_page_is_small():
    names = {name for name, _ in routes.FILES.values()}
    assert {path.name for path in routes.STATIC.iterdir()} == {name for name in names if not name.endswith(".html")}
    assert sum(len(routes.content(name)) for name in names) < 64_000
    for name in ("page.js", "instructor.js"):
        assert len((routes.STATIC / name).read_text(encoding="utf-8").splitlines()) < 300


def test_a_page_is_its_own_text_and_the_parts_that_both_share(tmp_path):
    (tmp_path / "hello.html").write_text("<p>hello, $who</p>\n", encoding="utf-8")
    (tmp_path / "one.html").write_text('<main>\n<!-- part hello who="ada" -->\n</main>\n', encoding="utf-8")
    assert pages.page("one.html", tmp_path) == b"<main>\n<p>hello, ada</p>\n</main>\n"
    for name in ("index.html", "instructor.html"):
        whole = pages.page(name).decode()
        assert whole.startswith("<!doctype html>") and whole.endswith("</html>\n")
        assert "<!-- part" not in whole and "$" not in whole
        assert whole.count((pages.HTML / "traffic.html").read_text(encoding="utf-8")) == 1


@pytest.mark.parametrize(
    "path", ["/static/", "/static/../page.py", "/static/%2e%2e/page.py", "/static/page.py", "/static//etc/passwd"]
)
def test_nothing_else_is_served(world, path):
    assert ask(world.app, "GET", path).status == 404


def colours():
    """Both sets of colours in the style sheet: {name: (r, g, b)}."""
    css = (routes.STATIC / "page.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, re.S)
    read = [
        {n: tuple(bytes.fromhex(c)) for n, c in re.findall(r"--([\w-]+): #(\w{6});", block)} for block in (light, dark)
    ]
    return dict(zip(("light", "dark"), read, strict=True))


def contrast(a, b):
    """WCAG 2's contrast of two colours, 1 to 21."""

    def luminance(colour):
        parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_are_readable_in_light_and_in_dark(scheme):
    colour = colours()[scheme]
    inks = ("ink", "quiet", "blue", "copy", "orange", "green", "red")
    pairs = [(ink, "card") for ink in inks] + [("ink", "page"), ("quiet", "page"), ("quiet", "orange-soft")]
    pairs += [("ink", "orange-soft"), ("ink", "blue-soft"), ("orange", "blue-soft"), ("quiet", "blue-soft")]
    for one, other in pairs:
        assert contrast(colour[one], colour[other]) >= 4.5, (one, other)


# ---- one answer for everybody ----


def test_who_has_the_newest_state_already_gets_304_and_no_body(world):
    first = ask(world.app, "GET", "/live/state")
    again = ask(world.app, "GET", "/live/state", headers={"if-none-match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    world.second.now += 60  # an idle vault says the same again
    assert ask(world.app, "GET", "/live/state", headers={"if-none-match": first.headers["etag"]}).status == 304
    world.ask()
    world.second.now += 1
    newer = ask(world.app, "GET", "/live/state", headers={"if-none-match": first.headers["etag"]})
    assert newer.status == 200 and newer.json()["totals"]["rows"] == 1


def test_forty_pages_that_ask_at_once_cost_one_state_a_second(world):
    made, snapshot = [], world.service.snapshot
    world.service.snapshot = lambda: made.append(1) or snapshot()

    async def three_seconds():
        for seconds in range(3):
            world.second.now = 10.0 + seconds
            answers = await asyncio.gather(*(asking(world.app, "GET", "/live/state") for _ in range(40)))
            assert {answer.status for answer in answers} == {200} and len({answer.body for answer in answers}) == 1
            assert len(made) == seconds + 1

    asyncio.run(three_seconds())


def test_everybody_s_state_has_pseudonyms_and_nothing_that_is_the_instructor_s(world):
    world.ask()
    said = ask(world.app, "GET", "/live/state").json()
    (key,) = said["keys"]  # the instructor's is not among them
    assert key["pseudonym"] == SCRIPT and key["budget_left"] == 99
    assert "id" not in key and "text" not in said["policy"] and world.learner not in str(said)
    assert "teacher" not in str(said["keys"]) and "hash" not in str(said)


def test_everybody_is_told_what_is_unusual_and_the_instructor_alone_where_the_line_is(world):
    world.service.set_policy("[monitor]\nvolume = 37\n")
    world.service.ask(world.learner, "digits-linear", np.repeat(QUESTION, 64, 0)).result(HANG)
    (told,) = [
        a
        for a in ask(world.app, "GET", "/live/state").json()["alarms"]
        if (a["per"], a["statistic"]) == ("key", "volume")
    ]
    assert "rows in the last hour" in told["sentence"] and "37" not in told["sentence"]
    assert not {"value", "threshold", "key"} & set(told)
    alarms = ask(world.app, "GET", "/live/instructor", headers=world.signed_in()).json()["alarms"]
    assert {"value": 64, "threshold": 37}.items() <= next(a for a in alarms if a["id"] == told["id"]).items()


def test_a_pseudonym_that_is_markup_goes_out_as_a_json_text(world):
    said = ask(world.app, "GET", "/live/state")
    assert said.headers["content-type"].startswith("application/json") and said.json()["keys"][0]["pseudonym"] == SCRIPT


# ---- the instructor, and nobody else ----


def test_the_session_s_cookie_is_for_no_script_and_no_other_site(world):
    cookie = world.login().headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/live" in cookie
    assert world.teacher.lower() not in cookie


def test_no_key_but_an_instructor_s_signs_in(world):
    assert world.login(world.learner).status == 403
    assert world.login("vk_spring_0000000000000000000000_000000").status == 401
    assert world.login("").status == 401 and world.login("x" * 300).status == 401


NOT_OURS = {
    "another site": {"origin": "http://evil.example"},
    "another port": {"origin": "http://localhost:9000"},
    "no origin": {},
    "no address at all": {"origin": "http://["},
    "a sandboxed page": {"origin": "null"},
    "cross-site, as the browser says": OURS | {"sec-fetch-site": "cross-site"},
}


@pytest.mark.parametrize("name", NOT_OURS)
def test_a_page_that_is_not_ours_changes_nothing(world, name):
    cookie = world.signed_in()["cookie"]
    said = ask(world.app, "POST", "/live/pause", {"paused": True}, NOT_OURS[name] | {"cookie": cookie})
    assert said.status == 403 and not world.service.paused
    assert world.login(headers=NOT_OURS[name]).status == 403


def test_another_computer_gets_nothing_even_with_the_cookie(world):
    headers = world.signed_in() | {"x-forwarded-for": "127.0.0.1"}
    for method, address in (("GET", "/live/instructor"), ("POST", "/live/pause"), ("POST", "/live/login")):
        said = ask(world.app, method, address, {"paused": True}, headers, client=("192.168.1.7", 5))
        assert said.status == 403 and "own computer" in said.json()["detail"]
    assert ask(world.app, "GET", "/live/instructor", headers=headers).status == 200


ACTIONS = ("cohort", "revoke", "forget", "pause", "policy", "stop", "keys", "expire", "lift")


@pytest.mark.parametrize("name", ACTIONS)
def test_without_a_session_nothing_happens(world, name):
    for cookie in ({}, {"cookie": "vault-instructor-8000=x"}, {"cookie": f"vault-instructor-8000={world.teacher}"}):
        assert ask(world.app, "POST", f"/live/{name}", {}, OURS | cookie).status == 401
    assert ask(world.app, "GET", "/live/instructor").status == 401
    assert world.stopped == 0


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"id": [}', b'{"id": "\xff"}', b'{"surprise": 1}', b"[" * 9000]
)
def test_a_body_that_says_nothing_sensible_is_refused(world, name, body):
    headers = world.signed_in() | {"content-type": "application/json"}
    assert ask(world.app, "POST", f"/live/{name}", body, headers).status in (400, 422)


def test_a_session_ends_with_its_key_its_day_or_a_word(world):
    for end in ("key", "day", "word"):
        headers = world.signed_in()
        assert ask(world.app, "GET", "/live/instructor", headers=headers).status == 200
        if end == "key":
            world.service.revoke(world.service.identify(world.teacher).id)
        elif end == "day":
            world.second.now += routes.SESSION_SECONDS
        else:
            ask(world.app, "POST", "/live/logout", {}, headers)
        assert ask(world.app, "GET", "/live/instructor", headers=headers).status == 401
        world.teacher = world.service.new_key("teacher", scope="instructor")


def test_the_instructor_pauses_and_opens_again(world):
    headers = world.signed_in()
    assert ask(world.app, "POST", "/live/pause", {"paused": True}, headers).status == 200
    with pytest.raises(Refusal) as refused:
        world.ask()
    assert refused.value.status == 503
    assert ask(world.app, "GET", "/live/state").json()["paused"] is True  # at once, within the same second
    ask(world.app, "POST", "/live/pause", {"paused": False}, headers)
    assert world.ask().usage["spent"] == 1


def test_the_instructor_gives_out_revokes_and_forgets_keys(world):
    headers = world.signed_in()
    token = ask(world.app, "POST", "/live/keys", {"pseudonym": "ada", "cohort": "red"}, headers).json()["key"]
    assert world.service.identify(token).pseudonym == "ada"
    assert ask(world.app, "POST", "/live/revoke", {"id": world.id("ada")}, headers).status == 200
    with pytest.raises(Refusal, match="revoked"):
        world.service.identify(token)
    assert ask(world.app, "POST", "/live/revoke", {"id": 999}, headers).status == 404
    ask(world.app, "POST", "/live/forget", {"pseudonym": SCRIPT}, headers)
    assert SCRIPT not in ask(world.app, "GET", "/live/state").body.decode()


def test_the_instructor_moves_a_key_to_another_cohort(world):
    headers, number = world.signed_in(), world.id(SCRIPT)
    world.ask()
    assert ask(world.app, "POST", "/live/cohort", {"id": number, "cohort": "linked"}, headers).status == 200
    world.ask()  # from its next question on
    cohorts = ask(world.app, "GET", "/live/state").json()["cohorts"]
    rows = {one["name"]: (one["keys"], one["rows"]) for one in cohorts}
    assert rows["red"] == (0, 1) and rows["linked"] == (1, 1)
    for name, key, status in (("", number, 422), ("x" * 65, number, 422), ("linked", 999, 404)):
        said = ask(world.app, "POST", "/live/cohort", {"id": key, "cohort": name}, headers)
        assert said.status == status and said.json()["detail"]
    assert world.service.identify(world.learner).cohort == "linked"


def test_the_instructor_may_give_a_key_a_budget_and_an_end(world):
    headers = world.signed_in()
    said = {"pseudonym": "ada", "cohort": "red", "budget": 5, "hours": 1.5}
    usage = world.service.usage(ask(world.app, "POST", "/live/keys", said, headers).json()["key"])
    assert usage["budget"] == 5 and usage["expires"] == pytest.approx(world.service.clock() + 5400, abs=60)
    said |= {"budget": None, "hours": None}
    usage = world.service.usage(ask(world.app, "POST", "/live/keys", said, headers).json()["key"])
    assert usage["budget"] is None and usage["expires"] is None
    for slip, words in (({"hours": 0}, "hours are more than 0"), ({"hours": 1, "expires": 2}, "both came")):
        answer = ask(world.app, "POST", "/live/keys", said | slip, headers)
        assert answer.status == 422 and words in answer.json()["detail"]


def test_the_form_for_a_key_asks_for_what_the_vault_takes():
    html, script = (routes.content(f"instructor.{kind}").decode() for kind in ("html", "js"))
    form = html[html.index('<form id="new-key"') : html.index('id="new-token"')]
    inputs = re.findall(r'<input id="([\w-]+)"', form)
    assert inputs == re.findall(r'<label for="([\w-]+)"', form) == ["new-name", "new-cohort", "new-budget", "new-hours"]
    assert all(f'"{name}"' in script for name in inputs)


def test_a_policy_with_a_mistake_is_refused_with_its_line_and_the_old_one_stays(world):
    headers, before = world.signed_in(), world.service.policy.version
    said = ask(world.app, "POST", "/live/policy", {"text": "[output]\nkind = 3\n", "base": before}, headers)
    assert said.status == 422 and said.json()["line"] == 2 and "line 2" in said.json()["detail"]
    assert world.service.policy.version == before


def test_a_file_that_is_no_policy_is_told_to_the_instructor_alone(world):
    headers = world.signed_in()
    world.service.policy_path.write_text("[output]\nkind = 3\n", encoding="utf-8")
    with pytest.raises(PolicyError):
        world.service.reload_policy()
    said = ask(world.app, "GET", "/live/instructor", headers=headers).json()["policy"]["refused"]
    assert said["line"] == 2 and said["reason"].startswith("policy.toml, line 2: kind takes")
    assert "refused" not in ask(world.app, "GET", "/live/state").json()["policy"]
    ask(world.app, "POST", "/live/policy", {"text": ""}, headers)
    assert ask(world.app, "GET", "/live/instructor", headers=headers).json()["policy"]["refused"] is None


def test_a_policy_is_in_force_from_the_next_question_on_and_overwrites_nothing_newer(world):
    headers, before = world.signed_in(), world.service.policy.version
    said = ask(world.app, "POST", "/live/policy", {"text": '[output]\nkind = "label"\n', "base": before}, headers)
    assert said.status == 200 and world.ask().output == "label"
    assert ask(world.app, "GET", "/live/state").json()["policy"]["version"] == said.json()["version"]
    late = ask(world.app, "POST", "/live/policy", {"text": "", "base": before}, headers)
    assert late.status == 409 and "Load it" in late.json()["detail"]


def test_the_instructor_lifts_an_alarm_after_a_look(world):
    world.service.set_policy('[monitor]\nvolume = 10\naction = "block"\nper = "key"\n')
    x = np.random.default_rng(0).uniform(size=(100, 64))
    with pytest.raises(Refusal, match="unusual"):
        world.service.ask(world.learner, "digits-linear", x).result(HANG)
    headers = world.signed_in()
    assert ask(world.app, "GET", "/live/state").json()["keys"][0]["unusual"] == ["volume"]
    assert ask(world.app, "POST", "/live/lift", {"key": world.id(SCRIPT)}, headers).status == 200
    assert ask(world.app, "GET", "/live/state").json()["keys"][0]["unusual"] == []
    assert world.ask().usage["spent"] == 1


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"key": 999}, 404, "no key 999"),
        ({"cohort": "nobody"}, 404, "nobody"),
        ({}, 422, "whose"),
        ({"key": 1, "cohort": "red"}, 422, "whose"),
    ],
)
def test_lifting_nobody_s_alarm_is_refused_and_nobody_is_pardoned(world, said, status, words):
    answer = ask(world.app, "POST", "/live/lift", said, world.signed_in())
    assert answer.status == status and words in answer.json()["detail"]
    reader = world.service.ledger.reader()
    assert reader.execute("SELECT count(*) FROM pardons").fetchone()[0] == 0
    reader.close()


def test_the_instructor_lifts_the_alarm_of_a_cohort_that_never_got_an_answer(world):
    world.service.set_policy('[monitor]\nvolume = 10\naction = "block"\nper = "cohort"\n')
    with pytest.raises(Refusal, match="unusual"):
        world.service.ask(world.learner, "digits-linear", np.repeat(QUESTION, 100, 0)).result(HANG)
    assert ask(world.app, "POST", "/live/lift", {"cohort": "red"}, world.signed_in()).status == 200
    assert world.ask().usage["spent"] == 1


def test_the_end_of_the_class_ends_the_learners_keys_and_leaves_the_instructor_the_page(world):
    headers = world.signed_in()
    assert ask(world.app, "POST", "/live/expire", {}, headers).status == 200
    with pytest.raises(Refusal, match="expired"):
        world.ask()
    assert ask(world.app, "GET", "/live/instructor", headers=headers).json()["keys"][0]["expired"]


def test_the_instructor_stops_the_vault(world):
    assert ask(world.app, "POST", "/live/stop", {}, world.signed_in()).status == 200
    assert world.stopped == 1


def test_the_cost_of_a_policy_says_what_it_leaves_out(world):
    """One question in all is no use to anybody, and the table has 0 for it: the page and the API say why."""
    world.service.set_policy("[limits]\nbudget_per_key = 1\n")
    costs = ask(world.app, "GET", "/live/state").json()["board"]["policies"]
    assert {(cost["label_lost"], cost["confidence_lost"]) for cost in costs} == {(0, 0)}
    text = " ".join(routes.content("index.html").decode().split())
    assert "costs honest users, by what leaves" in text and "Waiting and refusals are not counted" in text
    assert "Waiting and refusals are not counted" in openapi.SCHEMAS["PolicyCost"]["description"]


# ---- a policy in words ----


def test_the_words_say_what_a_key_gets_and_keep_what_would_help_to_stay_below():
    said = " ".join(in_words(parse(
        "[output]\ntop_k = 3\ndecimals = 2\nfresh_noise = 0.05\n[limits]\nbudget_per_key = 2000\nrows_per_minute_per_key = 60\n"
        '[monitor]\nood_share = 0.123\naction = "coarsen"\n[planted]\nshare = 0.077\n'
    )))  # fmt: skip
    for words in (
        "the 3 largest probabilities",
        "2 decimals",
        "new at every question",
        "60 questions a minute",
        "2,000 questions in all",
    ):
        assert words in said
    assert "gets labels only" in said and "wrong on purpose" in said
    assert "0.123" not in said and "0.077" not in said and "7.7" not in said


def test_the_words_for_the_label_alone_and_for_no_monitor():
    said = in_words(parse('[output]\nkind = "label"\n[monitor]\nenabled = false\n'))
    assert said[0] == "An answer is the label alone." and "Nothing is watched." in said
    assert in_words(Policy())[0] == "An answer is all probabilities, in full precision."
