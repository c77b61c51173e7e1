// Every consumer that ever gave a sign: does it live, what is it doing.

import { element } from "./element.js";
import { ago, now } from "./moments.js";
import { address, note } from "./routes.js";
import { badge } from "./signs.js";
import { listen } from "./stream.js";
import { Table, calmly } from "./table.js";
import { NOTHING, count, plain } from "./words.js";

export const title = "Consumers";
const REST = 3000; // milliseconds

export async function show(root, { wanted }, signal) {
  const text = element("input", { type: "search", id: "seek", value: wanted.text ?? "", placeholder: "Name, host, unit", "aria-keyshortcuts": "/" });
  const table = new Table({ label: "Consumers", path: "/consumers", columns: COLUMNS, keyOf: (row) => row.name, size: 100, signal, none: "No consumer is like that.", lead: (row) => (row.alive ? "" : "needs") });
  const form = element("form", { class: "filters", role: "search", on: { submit: (event) => { event.preventDefault(); seek(); } } },
    element("label", { class: "filter" }, element("span", {}, "Search"), text));
  let timer = 0;
  text.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(seek, 250); });
  root.append(element("div", { class: "title" }, element("h1", {}, title)), form, table.root);
  const again = calmly(() => table.load(), REST, signal);
  listen("consumers", ({ rows }) => table.amend(rows) && again(), signal);
  document.addEventListener("convoy:again", () => table.load(), { signal });
  await table.seek({ text: text.value });

  function seek() {
    const now = { text: text.value.trim() };
    note(now);
    table.seek(now);
  }
}

const COLUMNS = [
  { title: "Consumer", head: true, class: "wide", cell: (row) => element("b", {}, plain(row.name)) },
  { title: "Host", cell: (row) => plain(row.host) || NOTHING },
  { title: "State", cell: (row) => badge(row.alive ? (row.unit ? "running" : "idle") : "silent") },
  { title: "Works at", class: "wide", cell: work },
  { title: "Last sign", class: "number", cell: (row) => (row.heartbeat_age === null || row.heartbeat_age === undefined ? NOTHING : ago(now() - row.heartbeat_age)) },
  { title: "Units done", class: "number", cell: (row) => count(row.done) },
  { title: "Failed", class: "number", cell: (row) => count(row.failed) },
  { title: "Version", cell: (row) => plain(row.version) || NOTHING },
];

function work(row) {
  if (!row.unit) return NOTHING;
  return [element("bdi", {}, plain(row.user ?? row.key ?? row.unit)), row.migration ? element("a", { class: "faint", href: address("migrations", row.migration), data: { hold: "of" } }, plain(row.migration)) : null];
}
