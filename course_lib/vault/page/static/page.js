// The vault's page: asks this server, once a second, for one answer that it keeps for everybody, and draws what changed.
// Whatever came from people (a pseudonym, a cohort) becomes text, never markup.
// instructor.js builds on it, and hangs its own doings on `hooks`.

export const hooks = { signedOut: null, row: null, cohort: null, alarm: null, drawn: null };
const instructor = document.body.dataset.view === "instructor";
const address = instructor ? "/live/instructor" : "/live/state";
export const $ = (id) => document.getElementById(id);
const SVG = new Set(["path", "line", "text", "g", "circle", "title", "polyline"]);
let etag = null, wait = 1000, timer = 0, drawn = {}, model = null, told = null;

export function make(tag, attributes = {}, ...children) {
  const element = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}
export const whole = (n) => Math.round(n).toLocaleString("en");
const rate = (n) => (n > 0 && n < 10 ? n.toFixed(1) : whole(n));
const money = (cents) => (cents < 100 ? `${cents.toFixed(cents && cents < 10 ? 2 : 0)} ¢` : `$${(cents / 100).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`);
export const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? "" : ".");
const clock = (seconds) => new Date(1000 * seconds).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const percent = (share) => `${(100 * share).toLocaleString("en", { maximumSignificantDigits: 2 })}%`;

// ---- asking ----

export async function poll() {
  clearTimeout(timer);
  try {
    const reply = await fetch(address, { cache: "no-store", headers: etag ? { "If-None-Match": etag } : {} });
    if (reply.status === 401 && hooks.signedOut) return hooks.signedOut();
    if (reply.status === 200) {
      etag = reply.headers.get("ETag");
      draw(await reply.json());
    } else if (reply.status !== 304) throw new Error(reply.status);
    if (wait > 1000) drawn = {}, etag = null; // it is back: draw everything again
    wait = 1000;
  } catch {
    wait = Math.min(1.6 * wait, 10000);
    status("gone", "✕ No answer; asking again");
  }
  timer = setTimeout(poll, document.hidden ? 10000 : wait);
}
document.addEventListener("visibilitychange", () => document.hidden || poll());

function status(kind, words) {
  if ($("status").textContent === words) return; // a screen reader hears changes only
  $("status").className = `pill ${kind}`;
  $("status").textContent = words;
  if (kind === "gone") drawn.status = null;
}

function draw(state) {
  const parts = {
    all: [hooks.drawn && state, () => hooks.drawn?.(state)], // first: what it shows has a width only then
    status: [state.paused, drawStatus], class: [state.class, (name) => ($("class").textContent = name)], rules: [state.rules, drawRules],
    figures: [[state.totals, state.alarms.filter((alarm) => alarm.ended === null).length, state.keys.length], drawFigures], seconds: [state.seconds, drawTraffic],
    keys: [[state.keys, state.alarms, sessionStorage.me], () => drawKeys(state)], cohorts: [state.cohorts, drawCohorts],
    alarms: [state.alarms, drawAlarms], policy: [state.policy, drawPolicy],
    board: [[state.board, model], () => drawBoard(state.board)], costs: [[state.board?.policies, state.policy.version], () => drawCosts(state)],
  };
  for (const [name, [value, show]] of Object.entries(parts)) {
    const text = JSON.stringify(value) ?? "";
    if (drawn[name] !== text) (drawn[name] = text), show(value);
  }
}

// ---- the parts ----

function drawStatus(paused) {
  paused ? status("paused", "❚❚ Paused by the instructor") : status("open", "● Open");
}

function drawRules(rules) {
  $("rules-text")?.replaceChildren(...rules.map((rule) => make("li", {}, rule)));
}

function drawFigures([totals, alarms, keys]) {
  const figure = (name, value, kind = "") => make("div", { class: kind }, make("dt", {}, name), make("dd", {}, value));
  $("figures").replaceChildren(
    figure("questions a second", rate(totals.rows_per_second)), figure("questions answered", whole(totals.rows)),
    figure("requests refused", whole(totals.refused)), figure("spent, at the stated price", money(totals.cents)),
    figure(keys === 1 ? "key" : "keys", whole(keys)), figure("▲ unusual now", whole(alarms), alarms ? "warn" : ""));
}

function drawTraffic(seconds) {
  const [wide, high] = size("traffic-chart"), [left, right, top, bottom] = [44, wide - 8, 12, high - 26], most = Math.max(...seconds, 4), step = nice(most / 3);
  const end = step * Math.ceil(most / step), y = (n) => bottom - ((bottom - top) * n) / end, width = (right - left) / seconds.length;
  const bars = seconds.map((n, i) => (n ? `M${(left + i * width + 0.8).toFixed(1)} ${bottom}V${y(n).toFixed(1)}h${(width - 1.6).toFixed(1)}V${bottom}z` : ""));
  const parts = [make("path", { class: "bars", d: bars.join("") || "M0 0" })];
  for (let n = 0; n <= end; n += step)
    parts.unshift(make("line", { class: n ? "grid" : "axis", x1: left, x2: right, y1: y(n), y2: y(n) }), make("text", { x: left - 8, y: y(n) + 4, "text-anchor": "end" }, whole(n)));
  for (const [words, x, anchor] of [["2 min ago", left, "start"], ["1 min ago", (left + right) / 2, "middle"], ["now", right, "end"]])
    parts.push(make("text", { x, y: bottom + 19, "text-anchor": anchor }, words));
  const now = seconds.at(-1), mean = seconds.reduce((a, b) => a + b, 0) / seconds.length;
  const words = `Questions per second over the last two minutes: ${whole(now)} in the last second, ${rate(mean)} on average, at most ${whole(Math.max(...seconds))}.`;
  $("traffic-chart").replaceChildren(...parts);
  $("traffic-chart").setAttribute("aria-label", words);
  $("traffic-words").textContent = words;
}

// The width and height of a chart on the page, in CSS pixels: drawn at that size, text stays readable on a phone and on a wall.
function size(id) {
  const { width, height } = $(id).getBoundingClientRect(), found = [Math.max(width, 280), Math.max(height, 120)];
  $(id).setAttribute("viewBox", `0 0 ${found[0]} ${found[1]}`);
  return found;
}
window.addEventListener("resize", () => ((drawn = {}), (etag = null), poll()));

const nice = (n) => [1, 2, 5, 10].map((k) => k * 10 ** Math.floor(Math.log10(Math.max(n, 1)))).find((k) => k >= n);

// A table whose rows have names: what stays the same stays in place, so that focus, selection and a click under way do too.
// Where several rows have one name, they are told apart by their order.
function table(id, columns, rows, empty) {
  if (!$(id)) return;
  const kind = (i) => columns[i][1] ?? null;
  if (!$(id).tBodies.length) $(id).append(make("thead", {}, make("tr", {}, ...columns.map(([name], i) => make("th", { scope: "col", class: kind(i) }, name)))), make("tbody"));
  const body = $(id).tBodies[0], old = new Map([...body.rows].map((row) => [row.dataset.row, row])), times = new Map();
  if (!rows.length) return body.replaceChildren(make("tr", {}, make("td", { colspan: columns.length, class: "quiet" }, empty)));
  rows.forEach(({ name, cells, kind: look }, place) => {
    const nth = times.get(name) ?? 0, own = nth ? `${name}\n${nth}` : name; // no name has a line break
    times.set(name, nth + 1);
    const row = old.get(own) ?? make("tr", { "data-row": own });
    old.delete(own);
    row.className = look || "";
    cells.forEach((cell, i) => {
      const fresh = make(i ? "td" : "th", { scope: i ? null : "row", class: kind(i) }, cell);
      if (!row.cells[i]) row.append(fresh);
      else if (!row.cells[i].isEqualNode(fresh)) row.cells[i].replaceWith(fresh);
    });
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
  });
  old.forEach((row) => row.remove());
}

function budget({ budget, budget_left: left }) {
  if (budget === null || budget === undefined) return make("span", { class: "quiet" }, "no limit");
  const bar = make("i");
  bar.style.width = `${(100 * left) / budget}%`;
  return make("span", { class: "left" }, `${whole(left)} of ${whole(budget)}`, make("span", { class: left < budget / 10 ? "bar low" : "bar", "aria-hidden": "true" }, bar));
}

function drawKeys(state) {
  const tag = (words, kind = "") => make("span", { class: `tag ${kind}` }, words);
  const word = (key) => key.revoked ? tag("✕ revoked", "off") : key.expired ? tag("✕ expired", "off") : key.unusual.length ? tag("▲ unusual", "warn")
    : !key.accepted_rules ? tag("rules not accepted yet", "quiet") : key.budget && !key.budget_left ? tag("budget spent") : key.rows_per_second > 0 ? tag("asking") : tag("quiet", "quiet");
  const keys = [...state.keys].sort((a, b) => (instructor ? 0 : b.rows - a.rows) || a.pseudonym.localeCompare(b.pseudonym));
  const called = (key) => (instructor && keys.filter((other) => other.pseudonym === key.pseudonym).length > 1 ? `${key.pseudonym} (key ${key.id})` : key.pseudonym);
  table("keys-table", [["Key"], ["Cohort", "short"], ["Questions", "number"], ["per second", "number"], ["Budget left"], ["Cost", "number"], ["State"], ...(hooks.row ? [["Do"]] : [])],
    keys.map((key) => ({
      name: instructor ? String(key.id) : key.pseudonym, kind: key.revoked || key.expired ? "out" : key.pseudonym === sessionStorage.me && "you",
      cells: [called(key) + (key.pseudonym === sessionStorage.me ? " (you)" : ""), key.cohort, whole(key.rows), rate(key.rows_per_second), budget(key), money(key.cents), word(key),
        ...(hooks.row ? [hooks.row(key, called(key))] : [])],
    })), "No key has been given out yet.");
}

function drawCohorts(cohorts) {
  table("cohorts-table", [["Cohort"], ["Keys", "number"], ["Questions", "number"], ["per second", "number"], ["Budget left"], ...(hooks.cohort ? [["Do"]] : [])],
    cohorts.map((one) => ({ name: one.name, cells: [one.name + (one.unusual.length ? " ▲ unusual" : ""), whole(one.keys), whole(one.rows), rate(one.rows_per_second), budget(one),
      ...(hooks.cohort ? [hooks.cohort(one)] : [])] })), "No cohort yet.");
}

const FOLLOWS = { log: "it is written down", slow: "it is slowed down", coarsen: "it gets labels only", block: "it gets no answers" };

// One item per key or cohort with all that is unusual about it now; what has ended is folded away.
function drawAlarms(alarms) {
  const three = (n) => n.toLocaleString("en", { maximumSignificantDigits: 3 }), line = (a) => (instructor ? ` It was ${three(a.value)}, and the policy says ${three(a.threshold)}.` : "");
  const words = (a) => `${a.model}: ${a.sentence}.${line(a)} ${a.ended === null ? `What follows: ${FOLLOWS[a.action]}.` : "It has ended."}`;
  const item = ([newest, ...older]) => make("li", { class: newest.ended !== null && "over" }, make("time", {}, clock(newest.at)), newest.ended === null ? "▲ " : "△ ",
    make("strong", {}, `${newest.per} ${newest.who}`), hooks.alarm && newest.ended === null ? hooks.alarm(newest) : null, ...[newest, ...older].map((a) => make("p", {}, words(a))));
  const now = Map.groupBy ? Map.groupBy(alarms.filter((a) => a.ended === null), (a) => `${a.per} ${a.key ?? a.who}`) : new Map(alarms.filter((a) => a.ended === null).map((a) => [a.id, [a]]));
  const ended = alarms.filter((a) => a.ended !== null);
  $("alarms").replaceChildren(...(now.size ? [...now.values()].map(item) : [make("li", { class: "none" }, "Nothing unusual now.")]));
  $("ended").hidden = !ended.length;
  $("ended-title").textContent = `Ended: ${ended.length}`;
  $("ended-alarms").replaceChildren(...ended.map((a) => item([a])));
  const newest = alarms[0];
  if (newest && told !== null && newest.id > told) $("alarm-said").textContent = `${newest.per} ${newest.who}, ${words(newest)}`;
  told = Math.max(told ?? 0, newest?.id ?? 0);
}

function drawPolicy(policy) {
  $("policy-version").textContent = policy.version;
  $("policy-words")?.replaceChildren(...policy.words.map((words) => make("li", {}, words)));
}

function drawCosts({ board, policy }) {
  table("costs-table", [["Policy"], ["Model", "short"], ["Another label leaves", "number"], ["No confidence leaves, or one off by > 0.1", "number"]], (board?.policies ?? []).map((cost) => ({
    name: cost.policy + cost.model, cells: [cost.policy + (cost.policy === policy.version ? " (in force)" : ""), cost.model, percent(cost.label_lost), percent(cost.confidence_lost)] })), "Not measured yet.");
}

// ---- the leaderboard ----

function drawBoard(board) {
  if (!$("board-chart") || !board) return;
  const models = [...new Set(board.entries.map((entry) => entry.model))].sort();
  if (!models.includes(model)) model = models[0] ?? null;
  $("board-models").hidden = models.length < 2;
  $("board-models").replaceChildren(...models.map((name) => make("button", { type: "button", class: "small", "aria-pressed": String(name === model), onclick: () => { model = name; drawBoard(board); } }, name)));
  const entries = board.entries.filter((entry) => entry.model === model), share = ([value, low, high]) => `${value}% [${low}, ${high}]`;
  table("board-table", [["Key"], ["Agreement", "number"], ["Accuracy", "number"], ["Questions", "number"], ["with its cohort's", "number"], ["Cost", "number"], ["Copy", "short"], ["Policy", "short"]], entries.map((entry) => ({
    name: entry.who, kind: entry.who === sessionStorage.me && "you",
    cells: [make("span", {}, make("span", { "aria-hidden": "true" }, entry.front ? "◆ " : "◇ "), entry.who, entry.front ? make("span", { class: "unseen" }, ", nobody as close with fewer questions") : null), share(entry.agreement), share(entry.accuracy), whole(entry.questions), whole(Math.max(entry.cohort_questions, entry.questions)), money(entry.cents), entry.architecture, make("code", {}, entry.policy)],
  })), "No copy has been handed in yet. From Python: oracle.submit(copy)");
  drawCopies(entries);
}

function drawCopies(entries) {
  const [wide, high] = size("board-chart"), [left, right, top, bottom] = [46, wide - 24, 34, high - 46];
  const asked = entries.map((entry) => Math.max(entry.questions, 1)), first = Math.floor(Math.log10(Math.min(...asked, 10))), last = Math.max(Math.ceil(Math.log10(1.1 * Math.max(...asked, 90))), first + 1);
  const floor = !entries.length ? 0 : Math.min(90, 10 * Math.floor(Math.min(100, ...entries.map((entry) => entry.agreement[1])) / 10));
  const x = (n) => left + ((right - left) * (Math.log10(Math.max(n, 1)) - first)) / (last - first), y = (share) => bottom - ((bottom - top) * (share - floor)) / (100 - floor);
  const parts = [], step = floor < 50 ? 20 : floor < 90 ? 10 : 2;
  for (let share = floor; share <= 100; share += step)
    parts.push(make("line", { class: share === floor ? "axis" : "grid", x1: left, x2: right, y1: y(share), y2: y(share) }), make("text", { x: left - 8, y: y(share) + 4, "text-anchor": "end" }, `${share}%`));
  for (let power = first; power <= last; power++)
    parts.push(make("line", { class: "grid", x1: x(10 ** power), x2: x(10 ** power), y1: top, y2: bottom }), make("text", { x: x(10 ** power), y: bottom + 19, "text-anchor": "middle" }, whole(10 ** power)));
  parts.push(make("text", { x: (left + right) / 2, y: bottom + 42, "text-anchor": "middle" }, "questions asked under that name"), make("text", { x: left, y: 13 }, "agreement with the vault's model"));
  const front = entries.filter((entry) => entry.front).sort((a, b) => a.questions - b.questions);
  if (front.length > 1) parts.push(make("polyline", { class: "front-line", points: front.map((entry) => `${x(entry.questions)},${y(entry.agreement[0])}`).join(" ") }));
  for (const entry of [...entries].sort((a, b) => a.front - b.front)) {
    const [value, low, high] = entry.agreement, [at, height] = [x(entry.questions), y(value)];
    parts.push(make("line", { class: "span", x1: at, x2: at, y1: y(low), y2: y(high) }),
      make("path", { class: entry.front ? "copy front" : "copy", d: `M${at} ${height - 7}l7 7l-7 7l-7 -7z` }, make("title", {}, `${entry.who}: ${value}% after ${whole(entry.questions)} questions`)));
  }
  const taken = entries.map((entry) => [x(entry.questions) - 8, y(entry.agreement[0]) - 8, 16, 16]); // x, y, width, height
  for (const entry of front) { // a name stands where nothing else does: right of its mark, left, below or above, then further off
    const name = entry.who.length > 18 ? entry.who.slice(0, 17) + "…" : entry.who, width = 8 * name.length, [at, height] = [x(entry.questions), y(entry.agreement[0])];
    const places = [0, 18, 36, 54, -18].flatMap((down) => [[at + 12, height - 9 + down], [at - 12 - width, height - 9 + down]]);
    const free = places.find(([px, py]) => px > left && px + width < wide && py > top - 14 && py + 18 < bottom && !taken.some(([qx, qy, w, h]) => px < qx + w && qx < px + width && py < qy + h && qy < py + 18));
    if (!free) continue;
    taken.push([...free, width, 18]);
    parts.push(make("text", { class: "name", x: free[0] < at ? free[0] + width : free[0], y: free[1] + 14, "text-anchor": free[0] < at ? "end" : "start" }, name));
  }
  $("board-chart").replaceChildren(...parts);
  $("board-chart").setAttribute("aria-label", entries.length ? `Agreement against questions. ${front.map((entry) => `${entry.who}: ${entry.agreement[0]}% after ${whole(entry.questions)} questions`).join("; ")}. All copies are in the table.` : "No copy has been handed in yet");
}

// ---- the rules, accepted for a key ----

function closeRules() {
  $("rules").open = false;
  localStorage.rulesSeen = "yes";
}
$("key")?.addEventListener("input", () => ($("accept-said").textContent = ""));
$("only-look")?.addEventListener("click", closeRules);
$("accept")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const headers = { Authorization: `Bearer ${$("key").value.trim()}` }, said = $("accept-said");
  try {
    let reply = await fetch("/v1/rules/accept", { method: "POST", headers });
    if (reply.ok) reply = await fetch("/v1/usage", { headers });
    const body = await reply.json();
    said.className = reply.ok ? "said-good" : "said-bad";
    said.textContent = reply.ok ? `✓ Accepted. You are ${body.pseudonym}; your row is marked.` : `✕ ${sentence(body.detail ?? "the vault refused that key")}`;
    if (reply.ok) (sessionStorage.me = body.pseudonym), ($("key").value = ""), setTimeout(closeRules, 2500), poll();
  } catch {
    said.className = "said-bad";
    said.textContent = "✕ The vault does not answer. Try again in a moment.";
  }
});
if ($("rules") && localStorage.rulesSeen) $("rules").open = false;
if (!instructor) poll();
