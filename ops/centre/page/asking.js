// Asks the centre, and turns whatever goes wrong into one kind of trouble: what happened, to what,
// and what to do. A question is never asked twice by itself; an act least of all.

import { heard } from "./moments.js";

const BASE = "/api/v1";
const PATIENCE = 30_000; // milliseconds; a preview reads a whole list
const ABSENT = 60_000; // milliseconds without a key or a pointer: what is asked then, nobody asked
let csrf = "";
let touched = Date.now();
for (const sign of ["keydown", "pointerdown", "pointermove", "wheel"]) {
  document.addEventListener(sign, () => { touched = Date.now(); }, { capture: true, passive: true });
}

/** What happened, to what, and what to do about it. */
export class Trouble extends Error {
  constructor({ what, to = "", advice = "", code = "", status = 0 }) {
    super(what);
    Object.assign(this, { what, to, advice, code, status });
  }
}

/** The word that every act must carry; the session tells it. */
export function carry(word) {
  csrf = word ?? "";
}

export function get(path, wanted = {}, signal = undefined) {
  return ask("GET", BASE + path + query(wanted), undefined, signal);
}

export function post(path, body = {}) {
  return ask("POST", BASE + path, body);
}

export function remove(path) {
  return ask("DELETE", BASE + path);
}

/** Where the events come from. */
export function events(wanted) {
  return BASE + "/events" + query(wanted);
}

/** One part of a path, whatever is in it. */
export function part(text) {
  return encodeURIComponent(text);
}

function query(wanted) {
  const pairs = Object.entries(wanted).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}

async function ask(method, address, body, signal) {
  const limit = AbortSignal.timeout(PATIENCE);
  const headers = { Accept: "application/json" };
  if (Date.now() - touched > ABSENT) headers["X-Convoy-Absent"] = "1"; // keeps no session alive
  if (method !== "GET") headers["X-CSRF-Token"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      credentials: "same-origin",
      redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted) throw error; // nobody waits for it any more
    throw silent(error, method);
  }
  heard(answer.headers.get("Date"));
  if (answer.status === 204) return null;
  const told = await answer.json().catch(() => null);
  if (answer.ok) return told;
  throw trouble(answer, told);
}

function silent(error, method) {
  const late = error.name === "TimeoutError";
  const what = late ? `The centre did not answer within ${PATIENCE / 1000} s` : "The centre does not answer";
  const look = "Look whether `convoy serve` runs and can be reached from here.";
  const unsure = "The act may have been done all the same: look at the audit trail before you repeat it.";
  return new Trouble({ what, advice: method === "GET" ? look : `${look} ${unsure}`, code: "silent" });
}

function trouble(answer, told) {
  const said = told?.error ?? {};
  const found = new Trouble({
    what: said.what || `The centre answered ${answer.status}`,
    to: said.to,
    advice: said.advice || "Look into the log of `convoy serve`.",
    code: said.code,
    status: answer.status,
  });
  const wait = answer.headers.get("Retry-After");
  if (answer.status === 429 && wait) found.advice = `Try again in ${wait} s.`;
  if (answer.status === 401) document.dispatchEvent(new CustomEvent("convoy:stranger"));
  return found;
}
