// One migration: where it is, how fast, what is wrong, who works at it, and what one can tell it.

import { offered, act } from "./acts.js";
import { Trouble, get, part } from "./asking.js";
import { diagram } from "./diagram.js";
import { element, fill, onChange } from "./element.js";
import { failures } from "./failures.js";
import { heat } from "./heat.js";
import { ago, moment, now } from "./moments.js";
import { history } from "./past.js";
import { address } from "./routes.js";
import { may, session } from "./session.js";
import { badge, bar, empty, figure, section, sign, troubled } from "./signs.js";
import { listen } from "./stream.js";
import { calmly } from "./table.js";
import { throughput } from "./throughput.js";
import { units } from "./units.js";
import { NOTHING, count, many, pace, percent, plain, share, size, span } from "./words.js";

export const title = "Migration";
const REST = 2000; // milliseconds between two looks that a piece of news may cause
const SLOW = 5_000; // for what costs the store more
const AFTER = 1500; // the centre keeps dear answers for a second
const AT_WORK = 200; // consumers shown
const ELSEWHERE = new Set(["limits", "release"]); // acts whose buttons stand beside what they change

export async function show(root, { id }, signal) {
  const path = `/migrations/${part(id)}`;
  let seen;
  try {
    seen = await get(path, {}, signal);
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
    root.append(element("h1", {}, plain(id)), troubled(trouble, () => location.reload()));
    return;
  }
  const parts = built(root, path, seen, signal, taken);
  const look = calmly(() => get(path, {}, signal).then(taken, ignored), REST, signal);
  const deeper = calmly(() => parts.slow.forEach((each) => each.load()), SLOW, signal);
  const soon = () => setTimeout(() => signal.aborted || parts.slow.forEach((each) => each.load()), AFTER);
  listen("migration", (news) => {
    if (news.id !== seen.id) return;
    if (differs(news, seen, "phase") || differs(news, seen, "generation")) look(); // there is more to know than a row tells
    taken(news);
  }, signal);
  document.addEventListener("convoy:again", () => { look(); deeper(); }, { signal });
  document.addEventListener("convoy:key", ({ detail }) => pressed(detail), { signal });
  parts.draw(seen = merged(seen, {}));
  parts.slow.forEach((each) => each.load());

  function taken(news) {
    const moved = differs(news, seen, "phase") || differs(news, seen, "hold") || differs(news, seen, "version") || differs(news, seen, "generation");
    const worked = differs(news, seen, "units");
    seen = merged(seen, news);
    parts.draw(seen);
    if (news.rate && !seen.over) parts.chart.add({ at: now(), ...news.rate });
    if (moved) soon();
    else if (worked) deeper();
  }

  function pressed(key) {
    const name = key === "p" ? (seen.hold ? "resume" : "pause") : null;
    if (name && offered(seen).includes(name)) act(name, seen, taken);
  }
}

/** What is known, with what is new; `state` is judged here, by the newest of both. */
function merged(seen, news) {
  const known = { ...seen, ...news };
  for (const name of ["units", "items", "bytes"]) known[name] = { ...seen[name], ...news[name] };
  known.over = known.phases.nodes.some((node) => node.end && node.id === known.phase);
  return { ...known, state: stateOf(known) };
}

/** One word for people, by the same rule as in the list. */
function stateOf({ over, hold, phase, units }) {
  if (over || (!hold && !units.quarantined)) return phase;
  return hold ?? (units.queued + units.running ? phase : "stuck");
}

function differs(news, seen, name) {
  return name in news && JSON.stringify(news[name]) !== JSON.stringify(seen[name]);
}

function ignored() {} // the line says itself when it is broken, and what is shown stays

function built(root, path, seen, signal, taken) {
  const head = element("div", { class: "title" });
  const notes = element("div", { class: "notes" });
  const numbers = element("dl", { class: "figures" });
  const states = element("div");
  const working = crew(seen.id, signal);
  const limits = element("div");
  const about = element("div");
  const change = element("div");
  const chart = throughput(`${path}/rates`, signal);
  const failed = failures(path, () => seen, taken, signal);
  const cells = heat(`${path}/heat`, signal);
  const past = history(`${path}/history`, signal);
  const every = units(path, () => seen, taken, signal);
  root.append(head, notes, numbers,
    element("div", { class: "columns" },
      section("States", states), section("Throughput", chart.root, chart.beside),
      failed.root, section("Units", element("div", {}, cells.root, every.root)),
      element("div", { class: "stack" }, section("Consumers at work", working.root), section("Limits", limits, change), section("About", about)),
      element("div", { class: "whole" }, section("History", past.root))));
  const draws = [
    onChange((now) => fill(head, ...heading(now, taken))),
    onChange((now) => fill(notes, noted(now))),
    onChange((now) => fill(numbers, figures(now))),
    onChange((now) => diagram(states, now.phases && { ...now.phases, present: now.phase })),
    onChange((now) => { fill(limits, budgets(now)); fill(change, button("limits", now, taken)); }),
    onChange((now) => fill(about, facts(now))),
  ];
  const picks = [headed, (now) => [now.state, now.notices, now.gate, now.units.quarantined, now.refused], numbered,
    (now) => [now.phases, now.phase], (now) => [now.limits, now.state], (now) => [now.options, now.generation, now.past]];
  const whole = draws.map((draw, at) => watched(picks[at], draw));
  return { draw: (now) => { seen = now; whole.forEach((draw) => draw(now)); failed.draw(now); }, chart, past, slow: [chart, failed, cells, past, every, working] };
}

/** Draw when what is picked changed; a migration as a whole changes with every breath. */
function watched(pick, draw) {
  let now;
  const look = onChange(() => draw(now));
  return (value) => { now = value; look(pick(value)); };
}

const headed = (now) => [now.name, now.over, now.state, now.phase, now.hold, now.since, now.gate, now.units.quarantined > 0, session()?.role];
const numbered = (now) => [now.units, now.items, now.bytes, now.rate, now.eta, now.state];

function heading(now, taken) {
  const acts = offered(now).filter((name) => !ELSEWHERE.has(name)).map((name) => button(name, now, taken));
  const anew = now.over && may("operator") ? element("a", { class: "button", href: address("new", "", { from: now.id }) }, "Run again\u2026") : null;
  return [
    element("div", {},
      element("p", { class: "crumb" }, element("a", { href: address("migrations") }, "Migrations")),
      element("h1", {}, plain(now.name ?? now.id)),
      element("p", { class: "state" }, badge(now.state), element("span", { class: "faint" }, "since ", moment(now.since), " (", ago(now.since), ")"))),
    element("div", { class: "acts", role: "group", "aria-label": "What to tell this migration" }, acts, anew),
  ];
}

function button(name, now, taken) {
  if (!offered(now).includes(name)) return null;
  const { label, danger, keys } = offered.acts[name];
  return element("button", { type: "button", class: danger ? "danger" : "", data: { act: name, hold: name }, "aria-keyshortcuts": keys, on: { click: () => act(name, now, taken) } }, `${label}\u2026`);
}

function noted(now) {
  const lines = [];
  if (now.state === "stuck") lines.push(["bad", `It cannot go on by itself: ${many(now.units.quarantined, "unit")} in quarantine. Mend the causes below, then requeue them.`]);
  if (now.hold) lines.push(["hold", `Units are not handed out: it is ${now.hold}. Resume lets it go on.`]);
  if (now.gate) lines.push(["hold", `It waits for ${now.gate.waiting_for ?? "a person"}.`]);
  if (now.refused) lines.push(["hold", `${many(now.refused, "line")} of the list refused: see the failures.`]);
  for (const text of now.notices ?? []) lines.push(["grey", plain(text)]);
  return lines.map(([tone, text]) => element("p", { class: `note ${tone}` }, sign(tone === "grey" ? "list" : "alert"), text));
}

function figures(now) {
  const { units, items, bytes } = now;
  const part = share(units.done, units.total);
  const rate = now.rate && !now.over ? now.rate : null;
  return [
    element("div", { class: "figure far" }, element("dt", {}, "Progress"),
      element("dd", {}, element("span", { class: "value" }, percent(part)), bar(units.done, units.total, now.state),
        element("span", { class: "more" }, `${count(units.done)} of ${many(units.total, "unit")}, ${count(units.running)} running`))),
    figure("Items", count(items.so_far ?? items.total), `${count(items.moved)} moved, ${count(items.skipped)} right already${items.mended ? `, ${count(items.mended)} mended` : ""}`),
    figure("Bytes", size(bytes.so_far ?? bytes.total), `${size(bytes.moved)} moved`),
    figure("Rate", rate ? `${size(rate.bytes)}/s` : NOTHING, rate ? `${pace(rate.items)} items/s, ${pace(rate.units)} units/s` : ""),
    now.ended ? figure("Took", span(now.ended - now.started), "") : figure("Time left", now.eta === null || now.eta === undefined ? NOTHING : span(now.eta), outlook(now)),
    figure("Not arrived", count(Math.max(items.failed, units.quarantined)), `${many(items.failed, "item")} failed, ${many(units.quarantined, "unit")} in quarantine`),
  ];
}

function outlook(now) {
  if (now.hold) return `${now.hold}: nothing is handed out`;
  if (now.state === "stuck") return "a person has to look";
  return now.eta === null || now.eta === undefined ? "no rate to tell it by" : "at the present rate";
}

/** Who works at it: asked now and then, and told when consumers change. */
function crew(id, signal) {
  const root = element("div");
  const draw = onChange((rows) => fill(root, rows.length ? element("ul", { class: "crew", tabindex: 0, "aria-label": "Consumers at work" }, rows.map(worker)) : empty("Nobody works at it just now.")));
  const load = () => get("/consumers", { text: id, limit: AT_WORK }, signal).then(({ rows }) => draw(rows.filter((row) => row.migration === id).map(({ name, user, unit, since, alive }) => ({ name, user, unit, since, alive }))), ignored);
  listen("consumers", calmly(load, REST, signal), signal);
  return { root, load };
}

function worker({ name, user, unit, since, alive }) {
  return element("li", {}, sign("person"), element("b", {}, plain(name)), element("span", {}, " moves ", element("bdi", {}, plain(user || unit))), alive ? null : badge("silent"), since ? ago(since, "") : null);
}

function budgets(now) {
  const rows = Object.entries(now.limits ?? {});
  if (!rows.length) return empty("No limits: the fleet goes as fast as it can.");
  return element("dl", { class: "pairs" }, rows.flatMap(([name, value]) => [element("dt", {}, name.replace(".", ": ")), element("dd", {}, plain(value))]));
}

function facts(now) {
  const options = Object.entries(now.options ?? {}).filter(([, value]) => value !== false && value !== "" && value !== null);
  const pairs = [["ID", now.id], ["Kind", now.kind], ["Tenant", now.tenant], ["From", now.source], ["To", now.target],
    ["Run", `generation ${now.generation}`], ["Begun", moment(now.started)], ["Ended", now.ended ? moment(now.ended) : ""],
    ...options.map(([name, value]) => [name.replace("_", " "), value === true ? "yes" : String(value)])];
  const past = (now.past ?? []).toReversed().map((run) => element("li", {}, `Generation ${run.generation}: ${run.phase}, begun `, moment(run.started)));
  return [
    element("dl", { class: "pairs" }, pairs.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, typeof value === "string" ? element("bdi", {}, plain(value)) : value)])),
    past.length ? element("details", {}, element("summary", {}, `${many(past.length, "earlier run")}`), element("ul", { class: "plain" }, past)) : null,
  ];
}
