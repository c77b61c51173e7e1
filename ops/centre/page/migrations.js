// All migrations: what needs a person first by its sign, then how far, how fast, how long.

import { element, fill } from "./element.js";
import { ago } from "./moments.js";
import { address, note } from "./routes.js";
import { may } from "./session.js";
import { badge, bar, sign, signOf, tone, word } from "./signs.js";
import { listen } from "./stream.js";
import { Table, calmly } from "./table.js";
import { NOTHING, capital, count, many, pace, percent, plain, share, size, span } from "./words.js";

export const title = "Migrations";
const ORDERS = { "-started": "Newest first", started: "Oldest first", name: "By name", "-rate": "Fastest first" };
const NEWEST = "-started";
const STATES = ["", "moving", "stuck", "paused", "draining", "planning", "done", "cancelled"];
const REST = 3000; // milliseconds between two times that a list is asked for again for new rows
const SLOW = 15_000; // and for the sums of all

export async function show(root, { wanted }, signal) {
  const table = new Table({
    label: "Migrations", path: "/migrations", columns: COLUMNS, keyOf: (row) => row.id, signal,
    none: "No migration is like that.", lead: (row) => (row.state === "stuck" ? "needs" : ""), loaded: summed, turned: (cursors) => remember(seeks.wanted(), cursors),
  });
  const seeks = filters(wanted, seek);
  root.append(heading(), seeks.form, table.root);
  const again = calmly(() => table.load(), REST, signal);
  listen("migrations", ({ rows }) => table.amend(rows) && again(), signal);
  listen("migrations", calmly(() => table.load(), SLOW, signal), signal);
  document.addEventListener("convoy:again", () => table.load(), { signal });
  await table.seek(seeks.wanted(), history.state?.cursors);

  function seek() {
    const now = seeks.wanted();
    remember(now, [""]);
    table.seek(now);
  }

  function remember(now, cursors) {
    note({ ...now, order: now.order === NEWEST ? "" : now.order }, { cursors });
  }

  function summed({ states }) {
    if (states) seeks.counted(states);
  }
}

function heading() {
  const make = may("operator")
    ? element("a", { class: "button main", href: address("new"), "aria-keyshortcuts": "n" }, "New migration")
    : null;
  return element("div", { class: "title" }, element("h1", {}, title), make);
}

function filters(wanted, seek) {
  const text = element("input", { type: "search", id: "seek", value: wanted.text ?? "", placeholder: "ID, source, target, tenant", "aria-keyshortcuts": "/" });
  const chips = element("div", { class: "chips", role: "group", "aria-label": "State" });
  let state = STATES.includes(wanted.state) ? wanted.state : "";
  const order = element("select", { id: "in-order" }, Object.entries(ORDERS).map(([value, words]) => element("option", { value }, words)));
  order.value = wanted.order in ORDERS ? wanted.order : NEWEST;
  let timer = 0;
  text.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(seek, 250);
  });
  order.addEventListener("change", seek);
  const form = element("form", { class: "filters", role: "search", on: { submit: (event) => { event.preventDefault(); seek(); } } },
    labelled("Search", text), labelled("Order", order), chips);
  return { form, counted, wanted: () => ({ text: text.value.trim(), state, order: order.value }) };

  function counted(states) {
    const all = Object.values(states).reduce((sum, each) => sum + each, 0);
    fill(chips, STATES.filter((each) => !each || states[each] || each === state).map((each) => chip(each, each ? (states[each] ?? 0) : all)));
  }

  function chip(each, times) {
    const attributes = { type: "button", class: `chip ${tone(each)}`, "aria-pressed": String(each === state), data: { hold: `chip-${each}`, state: each } };
    const said = each ? capital(word(each)) : "All";
    return element("button", { ...attributes, on: { click: () => choose(each) } }, each ? sign(signOf(each)) : null, said, element("b", {}, count(times)));
  }

  function choose(each) {
    state = each;
    for (const button of chips.children) button.setAttribute("aria-pressed", String(button.dataset.state === state));
    seek();
  }
}

function labelled(words, input) {
  return element("label", { class: "filter" }, element("span", {}, words), input);
}

const COLUMNS = [
  { title: "Migration", class: "wide", head: true, cell: named },
  { title: "State", cell: (row) => badge(row.state) },
  { title: "Progress", class: "progress", cell: progress },
  { title: "Rate", class: "number", cell: rate },
  { title: "Time left", class: "number", cell: left },
  { title: "Begun", class: "number", cell: (row) => ago(row.started ?? row.created) },
];

function named(row) {
  return [
    element("a", { href: address("migrations", row.id), class: "name", data: { hold: "name" } }, plain(row.name ?? row.id)),
    row.tenant ? element("span", { class: "tenant" }, plain(row.tenant)) : null,
    row.source ? element("span", { class: "way" }, way(row.source), element("span", {}, "\u2192"), way(row.target)) : null,
  ];
}

function way(place) {
  return element("bdi", { title: plain(place) }, plain(place));
}

function progress(row) {
  const { units } = row;
  if (!units) return element("span", { class: "said" }, row.planned ? `${many(row.planned, "unit")}` : NOTHING);
  const part = share(units.done, units.total);
  const words = row.state === "planning" ? `${many(units.total, "unit")} so far` : `${count(units.done)} of ${many(units.total, "unit")}`;
  return [
    bar(units.done, units.total, row.state, `${plain(row.name ?? row.id)}: units done`),
    element("span", { class: "said" }, `${percent(part)} \u00b7 ${words}`),
    units.quarantined ? element("span", { class: "parked" }, sign("alert"), `${count(units.quarantined)} in quarantine`) : null,
  ];
}

function rate(row) {
  if (!row.rate || row.over || !(row.rate.bytes || row.rate.items)) return NOTHING;
  return [element("span", {}, `${size(row.rate.bytes)}/s`), element("span", { class: "faint" }, `${pace(row.rate.items)} items/s`)];
}

function left(row) {
  if (row.over && row.ended) return element("span", { class: "faint" }, `took ${span(row.ended - row.started)}`);
  return row.eta === null || row.eta === undefined ? NOTHING : `about ${span(row.eta)}`;
}
