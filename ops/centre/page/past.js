// Who did what, when and why: of one migration (its history) or of all (the audit trail).

import { element } from "./element.js";
import { moment } from "./moments.js";
import { address } from "./routes.js";
import { badge } from "./signs.js";
import { Table } from "./table.js";
import { NOTHING, plain } from "./words.js";

const MIGRATION = /^[a-z]+-[0-9a-f]{10}$/;
const WHEN = { title: "When", class: "when", cell: (row) => moment(row.at) };
const WHO = { title: "Who", cell: (row) => element("bdi", {}, plain(row.who ?? row.by)) };
const WHAT = { title: "What", head: true, cell: what };
const WHY = { title: "Why", class: "wide", cell: (row) => (row.why ? element("bdi", {}, plain(row.why)) : NOTHING) };
const OF = { title: "To what", cell: (row) => (MIGRATION.test(row.to) ? element("a", { href: address("migrations", row.to), data: { hold: "of" } }, row.to) : plain(row.to) || NOTHING) };
const ENDED = { title: "Outcome", cell: (row) => badge(row.outcome, row.outcome) };
const ASKED = { title: "What", head: true, cell: (row) => [element("span", {}, plain(row.what)), facts(row.facts)] };

/** The history of one migration: {root, load}. */
export function history(path, signal) {
  const table = lines("History", path, [WHEN, WHAT, WHO, WHY], 10, signal);
  return { root: table.root, load: () => table.load() };
}

/** The audit trail of everything. */
export function trail(signal) {
  return lines("Audit trail", "/audit", [WHEN, ASKED, OF, WHO, WHY, ENDED], 50, signal);
}

function lines(label, path, columns, size, signal) {
  const table = new Table({ label, path, columns, keyOf: (row) => row.id, none: "Nothing has happened yet.", size, signal });
  table.root.classList.add("lines");
  return table;
}

function what(row) {
  const way = row.to && row.from !== row.to ? element("span", { class: "faint facts" }, row.from ? `${plain(row.from)} \u2192 ${plain(row.to)}` : `\u2192 ${plain(row.to)}`) : null;
  return [element("span", {}, plain(row.what)), way, facts(row.facts)];
}

function facts(found) {
  const words = Object.entries(found ?? {}).map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return words.length ? element("span", { class: "faint facts" }, plain(words.join(", "))) : null;
}
