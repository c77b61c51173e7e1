// Times: in the zone the person chose, which is always said; and ages that go on by themselves.
// The centre's clock is the truth: what this machine's clock is off by is taken away.

import { element, say } from "./element.js";
import { span } from "./words.js";

const KEY = "convoy.zone";
let ahead = 0; // milliseconds that the centre is ahead of this machine
let utc = false;
try {
  utc = localStorage.getItem(KEY) === "utc";
} catch {
  // storage is forbidden: the zone of this machine
}

/** Learn from an answer's Date header (whole seconds; small differences are noise). */
export function heard(date) {
  const there = Date.parse(date ?? "");
  if (Number.isNaN(there)) return;
  const off = there - Date.now();
  ahead = Math.abs(off) > 2000 ? off : 0;
}

/** Now at the centre, in seconds since the epoch. */
export function now() {
  return (Date.now() + ahead) / 1000;
}

/** "Europe/Berlin, UTC+1" or "UTC" */
export function zone() {
  if (utc) return "UTC";
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const minutes = -new Date().getTimezoneOffset();
  const hours = Math.abs(minutes) / 60;
  const off = `UTC${minutes < 0 ? "\u2212" : "+"}${Number.isInteger(hours) ? hours : hours.toFixed(2)}`;
  return name === "UTC" ? "UTC (this machine)" : `${name}, ${off}`;
}

/** The same in short: "UTC+1" */
export function zoneInShort() {
  return utc ? "UTC" : zone().split(", ").at(-1);
}

/** Change between UTC and this machine's zone. */
export function turnZone() {
  utc = !utc;
  try {
    localStorage.setItem(KEY, utc ? "utc" : "local");
  } catch {
    // it holds for this visit
  }
}

function shown(at, style) {
  const options = { hourCycle: "h23", ...style, ...(utc ? { timeZone: "UTC" } : {}) };
  return new Intl.DateTimeFormat("en-GB", options).format(new Date(at * 1000));
}

/** 2026-11-20 17:03:12 in the chosen zone. */
export function stamp(at) {
  const date = { year: "numeric", month: "2-digit", day: "2-digit" };
  const [day, month, year] = shown(at, date).split("/");
  return `${year}-${month}-${day} ${clock(at, true)}`;
}

/** 17:03 or 17:03:12 */
export function clock(at, seconds = false) {
  return shown(at, { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}) });
}

/** A moment as an element: the full time, machine-readable, in the zone that is said. */
export function moment(at) {
  if (at === null || at === undefined) return element("span", {}, "\u2013");
  const iso = new Date(at * 1000).toISOString();
  return element("time", { datetime: iso, title: `${iso} (UTC); shown: ${zone()}` }, stamp(at));
}

/** How long ago, as an element that goes on by itself. */
export function ago(at, words = "ago") {
  if (at === null || at === undefined) return element("span", {}, "\u2013");
  const node = element("time", { datetime: new Date(at * 1000).toISOString(), title: `${stamp(at)} ${zone()}` });
  node.dataset.since = at;
  node.dataset.words = words;
  age(node);
  return node;
}

function age(node) {
  say(node, `${span(now() - Number(node.dataset.since))} ${node.dataset.words}`.trim());
}

setInterval(() => {
  if (!document.hidden) document.querySelectorAll("time[data-since]").forEach(age);
}, 1000);
