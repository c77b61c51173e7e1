// Signs: small drawings that say with a shape what a colour says, too. And the words beside them.

import { drawn, element } from "./element.js";
import { capital, percent, share } from "./words.js";

const SHAPES = {
  play: "M5 3.500v9l7-4.500z",
  tick: "M3.500 8.500l3 3 6-7",
  pause: "M5.500 4v8M10.500 4v8",
  drain: "M3 4h10M8 6v6M5.500 9.500L8 12l2.500-2.500",
  alert: "M8 3v6M8 12.200v.1",
  list: "M3 4.500h10M3 8h10M3 11.500h6",
  cross: "M4.500 4.500l7 7M11.500 4.500l-7 7",
  ring: "M8 3.500a4.500 4.500 0 1 0 .01 0z",
  person: "M8 3.200a2.200 2.200 0 1 0 .01 0zM3.500 13c.5-2.800 2.200-4 4.500-4s4 1.200 4.500 4",
};
const FILLED = new Set(["play"]);

/** What each state looks like: its sign, its tone, and the word for it. */
const STATES = {
  planning: ["list", "plan", "planning"],
  moving: ["play", "move", "moving"],
  done: ["tick", "good", "done"],
  cancelled: ["cross", "grey", "cancelled"],
  paused: ["pause", "hold", "paused"],
  draining: ["drain", "hold", "draining"],
  stuck: ["alert", "bad", "needs a person"],
  queued: ["ring", "grey", "queued"],
  running: ["play", "move", "running"],
  quarantined: ["alert", "bad", "in quarantine"],
  alive: ["tick", "good", "alive"],
  silent: ["alert", "bad", "silent"],
  idle: ["ring", "grey", "idle"],
  begun: ["ring", "grey", "begun"],
  failed: ["alert", "bad", "failed"],
  denied: ["cross", "hold", "denied"],
  critical: ["alert", "bad", "critical"],
  warning: ["alert", "hold", "warning"],
};

/** A drawing of 16 by 16, seen by no screen reader. */
export function sign(name) {
  const shape = { d: SHAPES[name], class: FILLED.has(name) ? "whole" : "line" };
  return drawn("svg", { class: "sign", viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, drawn("path", shape));
}

/** The word for a state. */
export function word(state) {
  return STATES[state]?.[2] ?? state;
}

/** The tone of a state, as a class. */
export function tone(state) {
  return STATES[state]?.[1] ?? "grey";
}

/** The sign of a state. */
export function signOf(state) {
  return STATES[state]?.[0] ?? "ring";
}

/** A state as shape, colour and word. */
export function badge(state, text = word(state)) {
  return element("span", { class: `badge ${tone(state)}` }, sign(signOf(state)), text);
}

/** How far: a bar that tells its value to everyone. */
export function bar(done, whole, state = "moving", label = "Units done") {
  const part = share(done, whole);
  const fill = drawn("rect", { width: `${(part * 100).toFixed(2)}%`, height: "100%", class: "reached" });
  return element("span", { class: `bar-of ${tone(state)}`, role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.floor(part * 100), "aria-valuetext": percent(part) },
    drawn("svg", { class: "track", "aria-hidden": "true", preserveAspectRatio: "none" }, fill));
}

/** A label above a value, with more in small letters. */
export function figure(label, value, more = "") {
  return element("div", { class: "figure" }, element("dt", {}, label),
    element("dd", {}, element("span", { class: "value" }, value), more ? element("span", { class: "more" }, more) : null));
}

/** What happened, to what, and what to do; with a way to try again. */
export function troubled(trouble, again = null) {
  const parts = [element("p", { class: "what" }, sign("alert"), `${capital(trouble.what ?? trouble.message)}${trouble.to ? ` (${trouble.to})` : ""}`)];
  if (trouble.advice) parts.push(element("p", {}, capital(trouble.advice)));
  if (again) parts.push(element("button", { type: "button", on: { click: again } }, "Try again"));
  return element("div", { class: "trouble", role: "alert" }, parts);
}

/** Nothing is there, and that is all right. */
export function empty(...words) {
  return element("p", { class: "empty" }, ...words);
}

/** A part of a page under its own heading, with what belongs beside the heading. */
export function section(title, body, ...beside) {
  const id = `part-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return element("section", { class: "card", "aria-labelledby": id },
    element("div", { class: "head" }, element("h2", { id }, title), element("div", { class: "beside" }, beside)), body);
}
