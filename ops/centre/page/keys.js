// Keys that save a way: documented by ?, silent while somebody types, and one can switch them off.

import { open } from "./dialog.js";
import { element } from "./element.js";
import { go } from "./routes.js";
import { may } from "./session.js";

const KEY = "convoy.keys";
const PLACES = { m: "migrations", c: "consumers", h: "hosts", a: "alarms", t: "audit" };
const MEANINGS = [
  ["?", "These keys"], ["/", "Search"], ["j, k", "Next row, row before"], ["Enter", "Open the row"],
  ["g then m", "Migrations"], ["g then c", "Consumers"], ["g then h", "Hosts"], ["g then a", "Alarms"], ["g then t", "Audit trail"],
  ["n", "New migration"], ["p", "Pause or resume the migration shown"], ["Esc", "Leave a dialog"],
  ["\u2190 \u2192 \u2191 \u2193", "Read single values of a chart or map that has the focus"],
];
const SECOND = 1500; // milliseconds between g and its letter
let on = stored() !== "off";
let led = 0;

/** Listen to keys as long as the page lives. */
export function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (!on || event.ctrlKey || event.altKey || event.metaKey || typing(event.target) || document.querySelector("dialog[open]")) return;
    if (pressed(event.key)) event.preventDefault();
  });
}

function pressed(key) {
  const place = Date.now() - led < SECOND ? PLACES[key] : undefined;
  led = key === "g" ? Date.now() : 0;
  if (place) go(place);
  else if (key === "?") showKeys();
  else if (key === "/") document.getElementById("seek")?.focus();
  else if (key === "n" && may("operator")) go("new");
  else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  else {
    document.dispatchEvent(new CustomEvent("convoy:key", { detail: key }));
    return false;
  }
  return true;
}

function step(by) {
  const links = [...document.querySelectorAll("#content tbody a.name")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.max(0, Math.min(links.length - 1, at + by))].focus();
}

function typing(target) {
  return target instanceof HTMLElement && target.matches("input:not([type=checkbox]), textarea, select");
}

export function showKeys() {
  const box = element("input", { type: "checkbox", id: "keys-on" });
  box.checked = on;
  box.addEventListener("change", () => {
    on = box.checked;
    try {
      localStorage.setItem(KEY, on ? "on" : "off");
    } catch {
      // it holds for this visit
    }
  });
  const rows = MEANINGS.map(([key, meaning]) => element("tr", {}, element("th", { scope: "row" }, key.split(", ").flatMap((each, at) => [at ? ", " : "", element("kbd", {}, each)])), element("td", {}, meaning)));
  const dialog = element("dialog", { class: "ask", "aria-labelledby": "keys-title" },
    element("h2", { id: "keys-title" }, "Keys"), element("table", { class: "keys" }, element("tbody", {}, rows)),
    element("p", { class: "field check" }, box, element("label", { for: box.id }, "Single keys do something (off: only Tab, Enter and the like)")),
    element("div", { class: "acts" }, element("button", { type: "button", class: "main", on: { click: () => dialog.close() } }, "Close")));
  open(dialog);
}

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
