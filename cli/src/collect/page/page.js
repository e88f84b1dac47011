// The page: what is chosen (span, split, filters) is kept in the address, asked of the collector every few seconds, and drawn.

import { bars, element, short, swatch, table } from "/chart.js";

const MINUTE = 60e6, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const SPANS = { "1 h": HOUR, "6 h": 6 * HOUR, "24 h": DAY, today: 0, yesterday: 0, "7 d": 7 * DAY, "30 d": 30 * DAY };
const BY = { endpoint: "endpoint", entity: "model", user: "user" };
const NAMED = { endpoint: "endpoint_name", entity: "served_entity_name", user: "requester" };
const find = (id) => document.getElementById(id);
const chosen = Object.assign({ span: "24 h", by: "endpoint" }, Object.fromEntries(new URLSearchParams(location.hash.slice(1))));
let asked = 0;

function choose(change) {
  Object.assign(chosen, change);
  for (const key of Object.keys(chosen)) if (chosen[key] === undefined) delete chosen[key];
  history.replaceState(null, "", `#${new URLSearchParams(chosen)}`);
  controls();
  refresh();
}

function controls() {
  const button = (key, value, text) =>
    element("button", { type: "button", "aria-pressed": String(chosen[key] === value), onclick: () => choose({ [key]: value }) }, text);
  find("span").replaceChildren(...Object.keys(SPANS).map((name) => button("span", name, name)));
  find("by").replaceChildren(...Object.entries(BY).map(([by, name]) => button("by", by, `by ${name}`)));
  const set = Object.keys(BY).filter((key) => chosen[key] !== undefined && key !== "by");
  const chip = (key) => element("button", { type: "button", title: "remove this filter", onclick: () => choose({ [key]: undefined }) }, `${BY[key]}: ${chosen[key] || "(none)"} ✕`);
  find("filters").replaceChildren(...set.map(chip));
  find("groups-title").textContent = `By ${BY[chosen.by]}`;
}

function span() {
  const now = Date.now() * 1000;
  const today = Math.floor(now / DAY) * DAY;
  if (chosen.span === "today") return [today, now];
  if (chosen.span === "yesterday") return [today - DAY, today];
  return [now - (SPANS[chosen.span] ?? DAY), now];
}

async function ask(path, parameters) {
  const token = sessionStorage.getItem("token");
  const answer = await fetch(`${path}?${new URLSearchParams(parameters)}`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
  const body = await answer.json();
  if (answer.status === 401) {
    find("login").hidden = false;
    find("main").hidden = true;
  }
  if (!answer.ok) throw new Error(body.error ?? `status ${answer.status}`);
  find("login").hidden = true;
  find("main").hidden = false;
  return body;
}

async function refresh() {
  const number = ++asked;
  const [from, to] = span().map(Math.round);
  const filters = Object.fromEntries(Object.keys(NAMED).filter((key) => chosen[key] !== undefined).map((key) => [key, chosen[key]]));
  const last = { ...filters, most: 60, ...(find("errors").checked ? { refused: true } : {}) };
  try {
    const [summary, requests] = await Promise.all([ask("/v1/summary", { from, to, by: chosen.by, ...filters }), ask("/v1/requests", last)]);
    if (number !== asked) return;
    draw(summary, to - from);
    drawLast(requests.requests);
    const lag = summary.lag_ms > 5000 ? `, tables lag ${Math.round(summary.lag_ms / 1000)} s behind` : "";
    state(`${summary.loaded ? "" : "reading older rows, "}${new Date().toLocaleTimeString()}${lag}`, lag !== "");
  } catch (error) {
    state(error.message, true);
  }
}

function state(text, bad) {
  find("state").textContent = text;
  find("state").className = bad ? "bad" : "";
}

function draw({ answer, days }, width) {
  const two = (n) => String(n).padStart(2, "0");
  const time = (at) => {
    const date = new Date((answer.from + at * answer.step) / 1000);
    const clock = `${two(date.getHours())}:${two(date.getMinutes())}`;
    return width <= DAY ? clock : `${date.getMonth() + 1}/${date.getDate()}${answer.step < DAY ? ` ${clock}` : ""}`;
  };
  tiles(answer, days);
  const lines = (key) => answer.lines.map((line) => ({ name: line.name || "(none)", values: line[key] }));
  bars(find("requests"), lines("requests"), time);
  bars(find("tokens"), lines("tokens"), time);
  bars(find("cost"), lines("cost_usd"), time, true);
  find("legend").replaceChildren(...answer.lines.map((line, at) => element("span", {}, swatch(at), line.name || "(none)")));
  const pick = (key, value) => (value === "(others)" ? value : element("button", { type: "button", onclick: () => choose({ [key]: value }) }, value || "(none)"));
  table(find("groups"), [BY[chosen.by], "#requests", "#refused", "#failed", "#tokens in", "#out", "#cost"],
    answer.groups.map((g) => [pick(chosen.by, g.name), short(g.requests), count(g.refused, "warn"), count(g.failed, "bad"), short(g.input_tokens), short(g.output_tokens), short(g.cost_usd, true)]),
    "No request in this span.");
  table(find("refusals"), ["who", "limit", "endpoint", "#refused", "#of", "#last"],
    answer.refusals.map((r) => [pick("user", r.user), r.limit, pick("endpoint", r.endpoint), count(r.count, "warn"), short(r.requests), ago(r.last)]), "No limit refused anybody in this span.");
  table(find("fallbacks"), ["endpoint", "model", "cause", "#times"],
    answer.fallbacks.map((f) => [pick("endpoint", f.endpoint), f.entity, cause(f.cause), short(f.count)]), "No model failed over in this span.");
  const ms = (n) => (n === null ? "–" : short(Math.round(n)));
  const row = (name, p) => [name, ms(p.p50), ms(p.p90), ms(p.p99)];
  table(find("latency"), [chosen.user === undefined ? "" : "of all users", "#half within", "#90 % within", "#99 % within"],
    [row("whole answer", answer.latency_ms), row("first byte", answer.first_byte_ms)], "");
  const day = (at) => new Date(days[at].day / 1000).toISOString().slice(5, 10);
  bars(find("days"), [{ name: "cost", values: days.map((d) => d.cost_usd) }], day, true);
}

function tiles({ totals }, days) {
  const [yesterday, today] = days.slice(-2);
  const tile = (name, value, bad) => element("div", { class: bad ? "tile bad" : "tile" }, element("b", {}, value), element("span", {}, name));
  find("tiles").replaceChildren(
    tile("requests", short(totals.requests)),
    tile("refused", short(totals.refused), totals.refused > 0),
    tile("failed (5xx)", short(totals.failed), totals.failed > 0),
    tile("tokens", short(totals.input_tokens + totals.output_tokens)),
    tile("cost", short(totals.cost_usd, true)),
    tile("cost yesterday (UTC)", short(yesterday.cost_usd, true)),
    tile("cost today (UTC)", short(today.cost_usd, true)),
  );
}

function count(n, style) {
  return n ? element("span", { class: style }, short(n)) : "0";
}

// Minutes are what the sums keep, so less than two is now.
function ago(at) {
  const minutes = Math.floor((Date.now() * 1000 - at) / MINUTE);
  return minutes < 2 ? "now" : minutes < 120 ? `${minutes} min ago` : minutes < 2880 ? `${Math.floor(minutes / 60)} h ago` : `${Math.floor(minutes / 1440)} d ago`;
}

function cause(text) {
  return /^\d+$/.test(text) ? `status ${text}` : text.replaceAll("_", " ");
}

function drawLast(requests) {
  const rows = requests.map((r) => {
    const failed = r.status_code === null || r.status_code >= 400;
    const attempts = r.attempts.map((a) => `${a.served_entity_name} ${a.status_code ?? a.error ?? "–"} (${a.latency_ms ?? "–"} ms)`).join(" → ");
    const note = [r.limit && `refused: ${r.limit}`, r.would_limit && `would be refused: ${r.would_limit}`, r.complete === false && !r.limit && "incomplete"].filter(Boolean).join(", ");
    const when = new Date(r.request_time / 1000);
    return [
      element("button", { type: "button", title: "show the payload", onclick: () => payload(r) }, `${when.toLocaleDateString(undefined, { month: "2-digit", day: "2-digit" })} ${when.toLocaleTimeString()}`),
      r.requester ?? "–",
      r.endpoint_name ?? "–",
      element("span", { class: r.limit ? "warn" : failed ? "bad" : "" }, r.status_code ?? "–"),
      `${r.input_token_count ?? 0} / ${r.output_token_count ?? 0}`,
      r.cost_usd === null ? "–" : short(r.cost_usd, true),
      `${r.time_to_first_byte_ms ?? "–"} / ${r.latency_ms ?? "–"}`,
      element("span", {}, attempts ? `${attempts} ` : "", note ? element("span", { class: "warn" }, note) : ""),
    ];
  });
  table(find("last"), ["time", "who", "endpoint", "status", "#tokens in / out", "#cost", "#first byte / all, ms", "attempts"], rows, "None yet.");
}

async function payload(request) {
  const body = find("payload-body");
  body.replaceChildren("…");
  find("payload").showModal();
  try {
    const date = new Date(request.request_time / 1000).toISOString().slice(0, 10);
    const row = await ask(`/v1/payloads/${encodeURIComponent(request.databricks_request_id)}`, { date });
    const part = (name) => [element("h2", {}, name), element("pre", {}, row[name] ?? "(not logged)")];
    body.replaceChildren(element("p", { class: "soft" }, `${request.databricks_request_id}: that you looked at it is logged.`), ...part("request"), ...part("response"));
  } catch (error) {
    body.replaceChildren(element("p", { class: "bad" }, error.message));
  }
}

find("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", find("token").value.trim());
  refresh();
});
find("errors").addEventListener("change", refresh);
controls();
refresh();
setInterval(() => document.hidden || refresh(), 5000);
