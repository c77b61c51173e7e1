// The fleet's hosts: how many consumers, how many of them alive and at work, which versions.

import { element } from "./element.js";
import { ago, now } from "./moments.js";
import { badge, bar } from "./signs.js";
import { listen } from "./stream.js";
import { Table, calmly } from "./table.js";
import { NOTHING, count, plain } from "./words.js";

export const title = "Hosts";
const REST = 5000; // milliseconds

export async function show(root, _route, signal) {
  const table = new Table({ label: "Hosts", path: "/hosts", columns: COLUMNS, keyOf: (row) => row.host, signal, none: "No host has given a sign yet.", lead: (row) => (short(row) ? "needs" : "") });
  root.append(element("div", { class: "title" }, element("h1", {}, title)), table.root);
  const again = calmly(() => table.load(), REST, signal);
  listen("consumers", again, signal);
  document.addEventListener("convoy:again", again, { signal });
  await table.seek({});
}

function short(row) {
  return row.alive < row.consumers;
}

const COLUMNS = [
  { title: "Host", head: true, class: "wide", cell: (row) => element("b", {}, plain(row.host)) },
  { title: "State", cell: state },
  { title: "Consumers", class: "progress", cell: consumers },
  { title: "At work", class: "number", cell: (row) => count(row.working) },
  { title: "Last sign", class: "number", cell: (row) => (row.heartbeat_age === null || row.heartbeat_age === undefined ? NOTHING : ago(now() - row.heartbeat_age)) },
  { title: "Versions", cell: (row) => plain((row.versions ?? []).join(", ")) || NOTHING },
];

function state(row) {
  if (!row.alive) return badge("silent");
  return short(row) ? badge("silent", `${count(row.consumers - row.alive)} silent`) : badge("alive");
}

function consumers(row) {
  return [bar(row.alive, row.consumers, short(row) ? "stuck" : "done", `${plain(row.host)}: consumers alive`),
    element("span", { class: "said" }, `${count(row.alive)} of ${count(row.consumers)} alive`)];
}
