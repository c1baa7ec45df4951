// The instructor's view: sign in with an instructor's key, then revoke, forget, pause, change the policy, stop.
import { $, hooks, make, poll, sentence, whole } from "/static/page.js";

let known = null; // the policy that the editor's text began with
let cohortOf = new Map(); // a key's number: its cohort now

async function send(name, body) {
  const reply = await fetch(`/live/${name}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const answer = await reply.json().catch(() => ({}));
  if (reply.status === 401 && name !== "login") hooks.signedOut();
  return reply.ok ? { ok: true, ...answer } : { ok: false, detail: `The vault answered ${reply.status}.`, ...answer };
}

function say(where, answer, words) {
  $(where).className = answer.ok ? "said-good" : "said-bad";
  $(where).textContent = answer.ok ? `✓ ${words}` : `✕ ${sentence(answer.detail)}`;
}

async function sure(title, words, button) {
  $("sure-title").textContent = title;
  $("sure-words").textContent = words;
  $("sure-yes").textContent = button;
  $("sure").returnValue = "no";
  $("sure").showModal();
  await new Promise((done) => $("sure").addEventListener("close", done, { once: true }));
  return $("sure").returnValue === "yes";
}

async function anotherCohort(called, now) {
  $("move-title").textContent = `Move ${called} to another cohort`;
  $("move-cohort").value = now;
  $("move").returnValue = "no";
  $("move").showModal();
  $("move-cohort").select();
  await new Promise((done) => $("move").addEventListener("close", done, { once: true }));
  return $("move").returnValue === "yes" ? $("move-cohort").value.trim() : null;
}

// ---- signing in and out ----

hooks.signedOut = () => {
  $("sign-in").hidden = false;
  $("signed-in").hidden = true;
  $("status").textContent = "Not signed in";
  $("status").className = "pill";
};

async function signIn(key) {
  const answer = await send("login", { key });
  say("sign-in-said", answer, "");
  if (!answer.ok) return;
  $("sign-in-said").textContent = $("instructor-key").value = "";
  poll();
}

$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("instructor-key").value.trim());
});
$("sign-out").addEventListener("click", async () => (await send("logout", {}), location.reload()));

// ---- keys ----

hooks.row = (key, called) => {
  const revoke = async () => {
    if (await sure(`Revoke ${called}?`, "From the next question on it is refused. What it asked stays in the ledger.", "Revoke"))
      say("did", await send("revoke", { id: key.id }), `${called} is revoked.`), poll();
  };
  const forget = async () => {
    if (await sure(`Forget ${key.pseudonym}?`, "Its name, addresses, questions and answers are deleted from the ledger, and every key of that name is revoked. Counts stay. This cannot be undone.", "Forget"))
      say("did", await send("forget", { pseudonym: key.pseudonym }), "It is forgotten."), poll();
  };
  const move = async () => {
    const cohort = await anotherCohort(called, cohortOf.get(key.id)); // a row's button may be older than its cohort
    if (cohort) say("did", await send("cohort", { id: key.id, cohort }), `${called} is in the cohort ${cohort}.`), poll();
  };
  const button = (words, doing, kind = "small danger") => make("button", { type: "button", class: kind, "aria-label": `${words} ${called}`, onclick: doing }, words);
  return make("span", { class: "tag" }, key.unusual.length ? lifter("key", called, { key: key.id }) : null,
    key.revoked ? null : button("Move", move, "small"), key.revoked ? null : button("Revoke", revoke), button("Forget", forget));
};

function lifter(per, who, whose) {
  const lift = async () => {
    if (await sure(`Lift the alarm on ${who}?`, "You have looked at it and it is all right: all its alarms end, and its numbers start afresh.", "Lift"))
      say("did", await send("lift", whose), `${who} starts afresh.`), poll();
  };
  return make("button", { type: "button", class: "small", "aria-label": `Lift the alarm on ${per} ${who}`, onclick: lift }, "Lift");
}
hooks.cohort = (one) => (one.unusual.length ? lifter("cohort", one.name, { cohort: one.name }) : "");
hooks.alarm = (alarm) => lifter(alarm.per, alarm.who, alarm.per === "key" ? { key: alarm.key } : { cohort: alarm.who });

$("new-key").addEventListener("submit", async (event) => {
  event.preventDefault();
  const number = (id) => ($(id).value === "" ? null : Number($(id).value));
  const wish = { cohort: $("new-cohort").value.trim(), budget: number("new-budget"), hours: number("new-hours") };
  const answer = await send("keys", { pseudonym: $("new-name").value.trim(), ...wish });
  say("new-said", answer, `The key of ${$("new-name").value.trim()}, shown this once:`);
  $("new-token").textContent = answer.ok ? answer.key : "";
  if (answer.ok) $("new-name").value = "";
  poll();
});

// ---- the vault as a whole ----

hooks.drawn = (state) => {
  $("sign-in").hidden = true;
  $("signed-in").hidden = false;
  cohortOf = new Map(state.keys.map((key) => [key.id, key.cohort]));
  $("move-known").replaceChildren(...state.cohorts.map((one) => make("option", { value: one.name })));
  $("pause").textContent = state.paused ? "▶ Let questions in again" : "❚❚ Pause";
  $("pause").dataset.next = state.paused ? "no" : "yes";
  if (known === null) load(state.policy);
  $("policy-newer").hidden = state.policy.version === known;
  const { refused } = state.policy, words = refused ? `✕ The file that was saved is refused, and this policy stays. ${refused.reason}` : "";
  if ($("policy-refused").textContent !== words) $("policy-refused").textContent = words; // a screen reader hears changes only
  $("policy-load").onclick = () => load(state.policy);
};

$("pause").addEventListener("click", async () => {
  const paused = $("pause").dataset.next === "yes";
  say("did", await send("pause", { paused }), paused ? "Paused: every question is told to come back later." : "Open again.");
  poll();
});

$("end").addEventListener("click", async () => {
  if (!(await sure("End the class?", "Every learner's key expires now. What was asked stays in the ledger.", "End the class"))) return;
  say("did", await send("expire", {}), "Every learner's key has expired.");
});

$("stop").addEventListener("click", async () => {
  if (!(await sure("Stop the vault?", "It finishes the questions that it took, then ends. To start it again: course vault serve.", "Stop the vault"))) return;
  say("did", await send("stop", {}), "Stopping. What was answered is in the ledger.");
});

// ---- the policy ----

function load(policy) {
  known = policy.version;
  $("policy-text").value = policy.text;
  $("policy-newer").hidden = true;
  mark(null);
}

function mark(line) {
  const editor = $("policy-text"), lines = editor.value.split("\n");
  editor.setAttribute("aria-invalid", String(line !== null));
  if (line === null) return;
  const start = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  editor.focus();
  editor.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
  editor.scrollTop = Math.max(0, (line - 4) * (editor.scrollHeight / lines.length));
}

function where() {
  const line = $("policy-text").value.slice(0, $("policy-text").selectionStart).split("\n").length;
  $("policy-line").textContent = `line ${whole(line)}`;
}
for (const moved of ["input", "keyup", "click", "focus"]) $("policy-text").addEventListener(moved, where);

$("policy-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await send("policy", { text: $("policy-text").value, base: known });
  say("policy-said", answer, `In force from the next question on, as ${answer.version}.`);
  if (answer.ok) known = answer.version;
  mark(answer.ok ? null : (answer.line ?? null));
  where();
  poll();
});

// A link that the vault printed holds the key behind the #, which no browser sends anywhere: used once, then taken out.
const handed = new URLSearchParams(location.hash.slice(1)).get("key");
if (handed) {
  history.replaceState(null, "", location.pathname);
  signIn(handed);
} else poll();
