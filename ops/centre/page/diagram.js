// The states of a migration as a diagram with the present one lit, drawn from the table that the
// centre tells: states stand in the order in which they are reached, ways back go round outside.

import { drawn, element } from "./element.js";
import { many } from "./words.js";

const BOX = { width: 104, height: 40 };
const LETTER = 8.5; // pixels
const LANE = 24; // between two ways back
const SHORT = 4; // ranks; in longer diagrams what passes by other states goes round outside, too
const SIDE = 14; // for the loop of the first state

/** Draw `table` ({nodes, edges, present}) into `root`, and again when its width asks for it. */
export function diagram(root, table) {
  if (!table?.nodes?.length) {
    root.replaceChildren();
    return;
  }
  const frame = element("div", { class: "diagram" });
  root.replaceChildren(frame, spoken(table));
  let tall;
  root.sizing?.disconnect();
  root.sizing = new ResizeObserver(() => {
    const now = frame.clientWidth < breadth(table); // then it runs downwards
    if (now === tall) return;
    tall = now;
    frame.replaceChildren(picture(table, tall));
  });
  root.sizing.observe(frame);
}

/** How wide it is if it runs sideways. */
function breadth(table) {
  const ranks = [...placed(table).values()].map((spot) => spot.rank);
  const form = formed(table, false);
  return Math.max(...ranks) * form.along + form.width + 2 * SIDE;
}

/** The measures of a diagram: boxes as wide as the longest name, and room between them. */
function formed({ nodes }, tall) {
  const longest = Math.max(...nodes.map((node) => node.id.length));
  const width = Math.max(BOX.width, longest * LETTER + 20);
  return tall
    ? { along: 92, across: width + 28, width, height: BOX.height, edge: 30 }
    : { along: width + 64, across: 84, width, height: BOX.height, edge: 40 };
}

function spoken({ nodes, edges, present }) {
  const ways = nodes.map((node) => {
    const out = edges.filter((edge) => edge.from === node.id).map((edge) => `${spaced(edge.event)}: ${spaced(edge.to)}`);
    return element("li", {}, `${spaced(node.id)}${node.id === present ? " (now)" : ""}${out.length ? ` \u2013 ${out.join(", ")}` : ""}`);
  });
  return element("details", {}, element("summary", {}, `The ${many(nodes.length, "state")} in words`), element("ul", { class: "plain" }, ways));
}

function spaced(name) {
  return name.replaceAll("_", " ");
}

function picture(table, tall) {
  const form = formed(table, tall);
  const spots = placed(table);
  const ranks = 1 + Math.max(...[...spots.values()].map((spot) => spot.rank));
  const { ahead, outside, loops } = sorted(table, spots, ranks > SHORT);
  const lanes = laned(outside, spots);
  const before = lanes.filter((lane) => lane.side < 0).length;
  const after = lanes.length - before;
  const rows = 1 + Math.max(...[...spots.values()].map((spot) => spot.row));
  const size = { along: (ranks - 1) * form.along, across: (rows - 1) * form.across };
  const pad = { before: form.edge + before * LANE, after: form.edge + after * LANE };
  const at = (name) => {
    const { rank, row } = spots.get(name);
    const along = rank * form.along;
    const across = row * form.across + pad.before;
    return tall ? { x: across + form.width / 2, y: along + form.height } : { x: along + form.width / 2 + SIDE, y: across + form.height / 2 };
  };
  const width = tall ? size.across + form.width + pad.before + pad.after : size.along + form.width + 2 * SIDE;
  const height = tall ? size.along + form.height * 2 : size.across + form.height + pad.before + pad.after;
  const lines = [
    ...ahead.map((edge) => forward(edge, at, form, tall, table.present, spots.get(edge.to).rank - spots.get(edge.from).rank > 1)),
    ...lanes.map((lane) => around(lane, at, form, tall, pad, size, table.present)),
    ...loops.map((edge) => loop(edge, at(edge.from), form, tall)),
  ];
  const label = `States: ${table.nodes.map((node) => spaced(node.id)).join(", ")}. Now: ${spaced(table.present)}.`;
  return drawn("svg", { class: "states", role: "img", "aria-label": label, viewBox: `0 0 ${width} ${height}`, width, height },
    heads(), lines, table.nodes.map((node) => box(node, at(node.id), form, table.present)));
}

/** Rank: the longest way from the start that never turns back. Row: the order within a rank. */
function placed({ nodes, edges }) {
  const names = nodes.map((node) => node.id);
  const start = (nodes.find((node) => node.start) ?? nodes[0]).name;
  const turned = turns(names, edges, start);
  const ranks = new Map(names.map((name) => [name, 0]));
  for (let pass = 0; pass < names.length; pass += 1) {
    for (const edge of edges) {
      if (turned.has(edge) || edge.from === edge.to) continue;
      ranks.set(edge.to, Math.max(ranks.get(edge.to) ?? 0, Math.min(names.length, (ranks.get(edge.from) ?? 0) + 1)));
    }
  }
  const used = new Map();
  return new Map(names.map((name) => {
    const rank = ranks.get(name);
    const row = used.get(rank) ?? 0;
    used.set(rank, row + 1);
    return [name, { rank, row }];
  }));
}

/** The edges that lead back to a state from which we came. */
function turns(names, edges, start) {
  const found = new Set();
  const open = new Set();
  const over = new Set();
  const walk = (name) => {
    open.add(name);
    for (const edge of edges.filter((each) => each.from === name)) {
      if (open.has(edge.to)) found.add(edge);
      else if (!over.has(edge.to)) walk(edge.to);
    }
    open.delete(name);
    over.add(name);
  };
  [start, ...names].forEach((name) => over.has(name) || walk(name));
  return found;
}

function sorted({ edges }, spots, long) {
  const parts = { ahead: [], outside: [], loops: [] };
  for (const edge of edges) {
    if (!spots.has(edge.from) || !spots.has(edge.to)) continue;
    const step = spots.get(edge.to).rank - spots.get(edge.from).rank;
    if (edge.from === edge.to) parts.loops.push(edge);
    else if (step > 0 && !(long && (step > 1 || spots.get(edge.to).row !== spots.get(edge.from).row))) parts.ahead.push(edge);
    else parts.outside.push({ ...edge, back: step <= 0 });
  }
  return parts;
}

/** Ways of one event to one state share a lane: back of the main row before it, others after the last. */
function laned(outside, spots) {
  const lanes = new Map();
  for (const edge of outside) {
    const side = edge.back && spots.get(edge.from).row === 0 ? -1 : 1;
    const key = `${edge.event} ${edge.to} ${side}`;
    if (!lanes.has(key)) lanes.set(key, { ...edge, side, from: [] });
    lanes.get(key).from.push(edge.from);
  }
  const depth = { "-1": 0, 1: 0 };
  return [...lanes.values()].map((lane) => ({ ...lane, depth: (depth[lane.side] += 1) }));
}

function forward(edge, at, form, tall, present, far) {
  const [from, to] = [at(edge.from), at(edge.to)];
  const [a, b] = tall
    ? [{ x: from.x, y: from.y + form.height / 2 }, { x: to.x, y: to.y - form.height / 2 - 5 }]
    : [{ x: from.x + form.width / 2, y: from.y }, { x: to.x - form.width / 2 - 5, y: to.y }];
  const bend = Math.min((tall ? Math.abs(b.y - a.y) : Math.abs(b.x - a.x)) * 0.5, 70);
  const [c, d] = tall ? [{ x: a.x, y: a.y + bend }, { x: b.x, y: b.y - bend }] : [{ x: a.x + bend, y: a.y }, { x: b.x - bend, y: b.y }];
  const path = `M${a.x} ${a.y}C${c.x} ${c.y} ${d.x} ${d.y} ${b.x} ${b.y}`;
  const spot = curve([a, c, d, b], far && tall ? 0.7 : 0.5); // past the state that it passes
  if (!tall && a.y === b.y) spot.y -= 8;
  return [drawn("path", { d: path, class: edge.from === present ? "way next" : "way", "marker-end": "url(#head)" }), named(edge.event, spot)];
}

/** The point at `t` (0 to 1) of a Bezier curve. */
function curve([a, b, c, d], t) {
  const u = 1 - t;
  const at = (name) => u ** 3 * a[name] + 3 * u * u * t * b[name] + 3 * u * t * t * c[name] + t ** 3 * d[name];
  return { x: at("x"), y: at("y") };
}

function around(lane, at, form, tall, pad, size, present) {
  const to = at(lane.to);
  const out = lane.depth * LANE;
  const line = lane.side < 0 ? pad.before - out : pad.before + (tall ? size.across + form.width : size.across + form.height) + out;
  const paths = lane.from.map((name) => {
    const from = at(name);
    const shift = 12;
    const half = (tall ? form.width : form.height) / 2;
    return tall
      ? `M${from.x + lane.side * half} ${from.y}H${line}V${to.y + shift}H${to.x + lane.side * (half + 5)}`
      : `M${from.x} ${from.y + lane.side * half}V${line}H${to.x - shift}V${to.y + lane.side * (half + 5)}`;
  });
  const first = at(lane.from[0]);
  const part = 0.5 + 0.16 * ((lane.depth % 3) - 1); // names of lanes side by side do not cover each other
  const spot = tall ? { x: line, y: first.y + (to.y - first.y) * part } : { x: (first.x + to.x) / 2, y: line + 4 };
  const look = (name) => `way ${lane.back ? "back" : ""} ${name === present ? "next" : ""}`;
  return [...paths.map((d, index) => drawn("path", { d, class: look(lane.from[index]), "marker-end": "url(#head)" })), named(lane.event, spot)];
}

function loop(edge, spot, form, tall) {
  const { x, y } = spot;
  const d = tall
    ? `M${x - 14} ${y - form.height / 2}v-12h28v7`
    : `M${x - form.width / 2} ${y + 6}h-9v-16h4`;
  return [drawn("path", { d, class: "way back", "marker-end": "url(#head)" }, drawn("title", {}, `${edge.event}: ${edge.to}`))];
}

function named(event, { x, y }) {
  return drawn("text", { x, y, class: "event", "text-anchor": "middle" }, spaced(event));
}

function box(node, { x, y }, form, present) {
  const lit = node.id === present;
  const place = { x: x - form.width / 2, y: y - form.height / 2, width: form.width, height: form.height, rx: node.end ? 20 : 6 };
  return drawn("g", { class: `node${lit ? " lit" : ""}${node.end ? " end" : ""}` }, drawn("rect", place),
    drawn("text", { x, y: y + (lit ? 1 : 5), "text-anchor": "middle" }, spaced(node.id)),
    lit ? drawn("text", { x, y: y + 14, "text-anchor": "middle", class: "now" }, "now") : null);
}

function heads() {
  return drawn("defs", {}, drawn("marker", { id: "head", viewBox: "0 0 8 8", refX: 5, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" },
    drawn("path", { d: "M0 .500L7 4L0 7.500z", class: "head" })));
}
