// Units as a heat map: one cell for some users in their order; its shade says how much is done, its
// mark what is the matter. Never colour alone: each cell can be read with pointer or arrow keys.

import { Trouble, get } from "./asking.js";
import { element, onChange } from "./element.js";
import { empty, troubled } from "./signs.js";
import { count, many, plain } from "./words.js";

const CELLS = 600;
const SHADES = 4;
const HINT = "Point at a cell, or go there with the arrow keys.";
const KEY = [["s0", "none done"], ["s2", "half"], ["s4", "all done"], ["s1 r", "running"], ["s1 f", "items failed"], ["s1 q", "in quarantine"]];

/** A map of what `path` tells: {root, load}. */
export function heat(path, signal) {
  const frame = element("div", { class: "heat", role: "slider", tabindex: 0, "aria-label": "Units by user; arrow keys read single cells", hidden: "" });
  const said = element("p", { class: "reading", "aria-hidden": "true" });
  const sum = element("p", { class: "faint" });
  const place = element("div");
  const legend = element("ul", { class: "key", "aria-label": "Key" }, KEY.map(([shade, words]) => element("li", {}, element("span", { class: `cell ${shade}`, "aria-hidden": "true" }), words)));
  let cells = [];
  let at = 0;
  let sampled = "";
  const draw = onChange(redraw);
  frame.addEventListener("pointermove", ({ target }) => target.dataset.at && read(Number(target.dataset.at)));
  frame.addEventListener("keydown", pressed);
  frame.addEventListener("focus", () => cells.length && read(at));
  for (const over of ["blur", "pointerleave"]) frame.addEventListener(over, rest);
  return { root: element("div", {}, frame, place, said, legend, sum), load };

  async function load() {
    try {
      const found = await get(path, { cells: CELLS }, signal);
      sampled = found.sampled ? ` They are a sample of ${many(found.units, "unit")}; those in quarantine are all there.` : "";
      draw(found.cells);
      place.replaceChildren(...(cells.length ? [] : [empty("No units are planned yet.")]));
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Trouble)) throw error;
      place.replaceChildren(troubled(error, load));
    }
  }

  function redraw(found) {
    cells = found;
    frame.hidden = legend.hidden = !cells.length;
    if (!cells.length) return;
    at = Math.min(at, cells.length - 1);
    frame.replaceChildren(...cells.map((cell, index) => element("span", { class: `cell ${look(cell)}`, data: { at: index } })));
    frame.setAttribute("aria-valuemin", 0);
    frame.setAttribute("aria-valuemax", cells.length - 1);
    const each = Math.round(cells.reduce((all, cell) => all + cell.total, 0) / cells.length);
    sum.textContent = `${many(cells.length, "cell")} of about ${many(Math.max(1, each), "unit")} each, in the order of user IDs.${sampled}`;
    said.textContent = frame.matches(":focus") ? words(cells[at]) : HINT;
    tell();
  }

  function read(index) {
    frame.children[at]?.classList.remove("read");
    at = index;
    frame.children[at].classList.add("read");
    said.textContent = words(cells[at]);
    tell();
  }

  function tell() {
    frame.setAttribute("aria-valuenow", at);
    frame.setAttribute("aria-valuetext", words(cells[at]));
  }

  function rest() {
    frame.children[at]?.classList.remove("read");
    said.textContent = HINT;
  }

  function pressed(event) {
    if (!cells.length) return;
    const line = perLine(frame);
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -line, ArrowDown: line, PageUp: -line * 5, PageDown: line * 5, Home: -cells.length, End: cells.length }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    read(Math.max(0, Math.min(cells.length - 1, at + by)));
  }
}

function perLine(frame) {
  const top = frame.firstElementChild?.offsetTop;
  const line = [...frame.children].findIndex((cell) => cell.offsetTop !== top);
  return line > 0 ? line : frame.children.length;
}

function look(cell) {
  const part = cell.total ? cell.done / cell.total : 0;
  const shade = part >= 1 ? SHADES : Math.min(SHADES - 1, Math.ceil(part * SHADES));
  const mark = cell.quarantined ? "q" : cell.failed ? "f" : cell.running ? "r" : "";
  return `s${shade} ${mark}`.trim();
}

function words(cell) {
  const whose = cell.from === cell.to ? plain(cell.from) : `${plain(cell.from)} to ${plain(cell.to)}`;
  const parts = [`${count(cell.done)} of ${many(cell.total, "unit")} done`];
  if (cell.running) parts.push(`${count(cell.running)} running`);
  if (cell.quarantined) parts.push(`${count(cell.quarantined)} in quarantine`);
  if (cell.failed) parts.push(`${many(cell.failed, "item")} failed`);
  return `${whose}: ${parts.join(", ")}`;
}
