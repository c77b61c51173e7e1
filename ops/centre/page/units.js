// The units of a migration, each with its user, state, tries, and what is the matter with it; those
// in quarantine can be chosen and released.

import { act, offered } from "./acts.js";
import { element } from "./element.js";
import { badge } from "./signs.js";
import { Table } from "./table.js";
import { capital, count, many, plain } from "./words.js";

const STATES = ["", "queued", "running", "done", "quarantined"];

/** A list that is asked for only while it is open: {root, load}. */
export function units(path, seen, taken, signal) {
  const chosen = new Set();
  const columns = [
    { title: "User", head: true, class: "wide", cell: (row) => [choice(row), element("bdi", {}, plain(row.user))] },
    { title: "Job", cell: (row) => plain(row.job) },
    { title: "State", cell: (row) => badge(row.state) },
    { title: "Tries", class: "number", cell: (row) => count(row.attempts) },
    { title: "Held by, or why", class: "wide", cell: (row) => plain(row.owner || row.reason) || "\u2013" },
  ];
  const table = new Table({ label: "Units", path: `${path}/units`, columns, keyOf: (row) => row.id, none: "No unit is like that.", signal });
  const text = element("input", { type: "search", "aria-label": "User", placeholder: "User ID, whole" });
  const state = element("select", { "aria-label": "State of units" }, STATES.map((value) => element("option", { value }, value ? capital(value) : "All states")));
  const release = element("button", { type: "button", hidden: true, on: { click: () => act("release", seen(), released, { units: [...chosen] }) } });
  const form = element("form", { class: "filters", role: "search", "aria-label": "Units", on: { submit: (event) => { event.preventDefault(); seek(); } } }, text, state, element("button", { type: "submit" }, "Find"), release);
  const root = element("details", { class: "every", on: { toggle: () => root.open && seek() } }, element("summary", {}, "Every unit, by user"), form, table.root);
  state.addEventListener("change", seek);
  return { root, load: () => (root.open ? table.load() : null) };

  function seek() {
    chosen.clear();
    offer();
    table.seek({ text: text.value.trim(), state: state.value });
  }

  function choice(row) {
    if (row.state !== "quarantined" || !offered(seen()).includes("release")) return null;
    const box = element("input", { type: "checkbox", "aria-label": `Choose ${plain(row.user)}`, data: { hold: row.id } });
    box.checked = chosen.has(row.id);
    box.addEventListener("change", () => {
      chosen[box.checked ? "add" : "delete"](row.id);
      offer();
    });
    return box;
  }

  function offer() {
    release.hidden = !chosen.size;
    release.textContent = `Release ${many(chosen.size, "unit")}\u2026`;
  }

  function released(news) {
    chosen.clear();
    offer();
    taken(news);
    table.load();
  }
}
