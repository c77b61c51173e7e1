// Throughput over time as a line, with axes, a hand that reads values off (pointer or arrow keys),
// and the same as a table. Draws what it is told; a gap in the samples stays a gap.

import { Trouble, get } from "./asking.js";
import { drawn, element, fill } from "./element.js";
import { clock, now, stamp } from "./moments.js";
import { empty, troubled } from "./signs.js";
import { pace, size } from "./words.js";

const MEASURES = {
  bytes: ["Bytes", (value) => `${size(value)}/s`, 1024],
  items: ["Items", (value) => `${pace(value)} items/s`, 10],
  units: ["Units", (value) => `${pace(value)} units/s`, 10],
};
const KEPT = 2000; // samples
const ROWS = 60; // in the table
const HEIGHT = 190;
const GAP = 2; // steps; what is longer is a gap
const NICE = [1, 1.2, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 50, 60, 80, 100, 120, 150, 200, 300, 400, 500, 600, 800, 1000, 1024];
const PAD = { left: 86, right: 10, top: 12, bottom: 24 };

/** A chart of what `path` tells: {root, beside, load, add(sample)}. */
export function throughput(path, signal) {
  let rows = []; // what is drawn: what the centre told, then what we saw ourselves
  let live = [];
  let usual = 60; // seconds between two samples
  let measure = "bytes";
  const frame = element("div", { class: "chart" });
  const said = element("p", { class: "faint" });
  const values = element("div");
  const table = element("details", { on: { toggle: () => table.open && list() } }, element("summary", {}, "As a table"), values);
  const choice = element("select", { "aria-label": "What to draw", on: { change: () => { measure = choice.value; draw(); } } },
    Object.entries(MEASURES).map(([value, [words]]) => element("option", { value }, `${words} per second`)));
  const sizing = new ResizeObserver(() => draw());
  sizing.observe(frame);
  signal.addEventListener("abort", () => sizing.disconnect());
  return { root: element("div", {}, frame, said, table), beside: choice, load, add };

  async function load() {
    try {
      const { points, step } = await get(path, {}, signal);
      const begun = live[0]?.at ?? Infinity;
      rows = [...told(points.filter((point) => point.at + step <= begun), step), ...live];
      usual = step;
      draw();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Trouble)) throw error;
      frame.replaceChildren(troubled(error, load));
    }
  }

  function add(sample) {
    if (live.length && sample.at - live.at(-1).at < 0.5) return;
    live = [...live, sample].slice(-KEPT);
    rows = [...rows.filter((row) => row.at < live[0].at), ...live];
    draw();
  }

  function draw() {
    const [, words] = MEASURES[measure];
    if (rows.length < 2) {
      frame.replaceChildren(empty("There is no throughput to show yet."));
      said.textContent = "";
      table.hidden = true;
      return;
    }
    table.hidden = false;
    const each = rows.map((row) => row[measure]);
    const mean = each.reduce((sum, value) => sum + value, 0) / each.length;
    said.textContent = `${now() - rows.at(-1).at > 2 * usual ? "Last" : "Now"} ${words(each.at(-1))}; mean ${words(mean)}; most ${words(Math.max(...each))}, from ${clock(rows[0].at)} to ${clock(rows.at(-1).at)}.`;
    const width = Math.max(frame.clientWidth, 240);
    fill(frame, plot(rows, measure, width, said.textContent, usual * GAP));
    if (table.open) list();
  }

  function list() {
    const [, words] = MEASURES[measure];
    const lines = rows.slice(-ROWS).toReversed().map((row) => element("tr", {}, element("td", {}, stamp(row.at)), element("td", { class: "number" }, words(row[measure]))));
    values.replaceChildren(element("table", { class: "small" }, element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Time"), element("th", { scope: "col", class: "number" }, "Rate"))), element("tbody", {}, lines)));
  }
}

/** Points of whole steps as samples at both ends of each, so that one point is a line, too; the step
    that is not over ends now. */
function told(points, step) {
  return points.flatMap((point) => [point, { ...point, at: Math.min(point.at + step, now()) }]);
}

function plot(rows, measure, width, label, gap) {
  const [, words, base] = MEASURES[measure];
  const top = ceiling(Math.max(...rows.map((row) => row[measure]), 1e-9), base);
  const [from, to] = [rows[0].at, rows.at(-1).at];
  const x = (at) => PAD.left + ((at - from) / Math.max(1e-9, to - from)) * (width - PAD.left - PAD.right);
  const y = (value) => HEIGHT - PAD.bottom - (value / top) * (HEIGHT - PAD.top - PAD.bottom);
  const spots = rows.map((row) => [x(row.at), y(row[measure])]);
  const runs = unbroken(rows, spots, gap);
  const hand = drawn("g", { class: "hand", hidden: "" });
  const picture = drawn("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, class: "plot", tabindex: 0, role: "slider",
    "aria-label": "Throughput over time; arrow keys read single values", "aria-valuemin": 0, "aria-valuemax": rows.length - 1, "aria-valuenow": rows.length - 1, "aria-valuetext": label, data: { hold: "plot" } },
    rules(top, width, y, words), ticks(from, to, width, x),
    runs.map((run) => [drawn("path", { d: `M${traced(run)}`, class: "line" }), drawn("path", { d: area(run, y(0)), class: "area" })]), hand);
  reading(picture, hand, rows, spots, (row) => `${clock(row.at, true)}: ${words(row[measure])}`, width);
  return picture;
}

function ceiling(most, base) {
  const step = base ** Math.floor(Math.log(most) / Math.log(base));
  const nice = NICE.find((times) => times * step >= most) ?? base;
  return nice * step;
}

/** The spots in runs, parted where samples are missing. */
function unbroken(rows, spots, gap) {
  const runs = [[]];
  spots.forEach((spot, at) => {
    if (at > 0 && rows[at].at - rows[at - 1].at > gap) runs.push([]);
    runs.at(-1).push(spot);
  });
  return runs;
}

function traced(run) {
  return run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
}

function area(run, floor) {
  return `M${run[0][0].toFixed(1)} ${floor}L${traced(run)}L${run.at(-1)[0].toFixed(1)} ${floor}z`;
}

function rules(top, width, y, words) {
  return [0, 0.5, 1].map((part) => {
    const high = y(top * part);
    return [drawn("path", { d: `M${PAD.left} ${high}H${width - PAD.right}`, class: "rule" }),
      drawn("text", { x: PAD.left - 8, y: high + 4, "text-anchor": "end" }, words(top * part))];
  });
}

function ticks(from, to, width, x) {
  const many = Math.max(2, Math.min(6, Math.floor((width - PAD.left) / 110)));
  const fine = to - from < 300;
  return Array.from({ length: many }, (_, at) => {
    const when = from + ((to - from) * at) / (many - 1);
    const anchor = at === 0 ? "start" : at === many - 1 ? "end" : "middle";
    return drawn("text", { x: x(when), y: HEIGHT - 6, "text-anchor": anchor }, clock(when, fine));
  });
}

/** Let the pointer or the arrow keys read single values. */
function reading(picture, hand, rows, spots, words, width) {
  let at = rows.length - 1;
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const wanted = ((event.clientX - box.left) / box.width) * width;
    point(spots.reduce((best, [x], index) => (Math.abs(x - wanted) < Math.abs(spots[best][0] - wanted) ? index : best), 0));
  });
  picture.addEventListener("pointerleave", () => hand.setAttribute("hidden", ""));
  picture.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -rows.length, End: rows.length }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    point(Math.max(0, Math.min(rows.length - 1, at + by)));
  });

  function point(to) {
    at = to;
    const [x, y] = spots[at];
    const text = words(rows[at]);
    const right = x > width / 2;
    hand.replaceChildren(drawn("path", { d: `M${x} ${PAD.top}V${HEIGHT - PAD.bottom}` }), drawn("circle", { cx: x, cy: y, r: 4 }),
      drawn("text", { x: x + (right ? -8 : 8), y: PAD.top + 10, "text-anchor": right ? "end" : "start" }, text));
    hand.removeAttribute("hidden");
    picture.setAttribute("aria-valuenow", at);
    picture.setAttribute("aria-valuetext", text);
  }
}
