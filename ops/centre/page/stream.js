// What the centre tells by itself (server-sent events), and whether it still does. A line that is
// silent for too long counts as broken, even if the browser thinks it open.

import { events, get } from "./asking.js";

const NAMES = ["migrations", "migration", "consumers", "alarms", "reset", "beat"];
const SILENCE = 40_000; // milliseconds; the centre gives a sign every 15 s
const RESTS = [1000, 2000, 5000, 10_000, 20_000]; // between attempts of our own
const HIDDEN = 30_000; // a page that nobody looks at gives its line back: browsers have six

const told = new EventTarget();
let source = null;
let wanted = null;
let last = "";
let heardAt = 0;
let tries = 0;
let timer = 0;
let state = "off";

/** Call `act(data)` at every event of this name, until `signal` ends it. */
export function listen(name, act, signal) {
  told.addEventListener(name, (event) => act(event.detail), { signal });
}

/** Call `act({state, since})` when the line opens or breaks: "live", "connecting", "off". */
export function watchLine(act) {
  told.addEventListener("line", (event) => act(event.detail));
}

/** Listen to the whole fleet, or to one migration besides. */
export function follow(migration = "") {
  if (source && wanted?.migration === migration) return;
  wanted = { migration };
  last = "";
  open();
}

export function stop() {
  wanted = null;
  close();
  turn("off");
}

function open() {
  close();
  turn(state === "live" ? "live" : "connecting"); // changing lines is no news
  source = new EventSource(events({ ...wanted, last }));
  heardAt = Date.now();
  source.onopen = heard;
  source.onerror = () => {
    turn("connecting");
    if (source?.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    get("/session").catch(() => null); // refused: if nobody is known here any more, all learn it
    again();
  };
  for (const name of NAMES) {
    source.addEventListener(name, (event) => {
      heard();
      last = event.lastEventId || last;
      const detail = read(event.data);
      if (name === "reset") document.dispatchEvent(new CustomEvent("convoy:again"));
      else if (detail !== null) told.dispatchEvent(new CustomEvent(name, { detail }));
    });
  }
}

function close() {
  clearTimeout(timer);
  source?.close();
  source = null;
}

function again() {
  close();
  const rest = RESTS[Math.min(tries, RESTS.length - 1)];
  tries += 1;
  timer = setTimeout(open, rest);
}

function heard() {
  heardAt = Date.now();
  tries = 0;
  turn("live");
}

function turn(to) {
  if (to === state) return;
  state = to;
  told.dispatchEvent(new CustomEvent("line", { detail: { state, since: heardAt } }));
}

function read(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

setInterval(() => {
  if (source && Date.now() - heardAt > SILENCE) {
    turn("connecting");
    again();
  }
}, 5000);

let away = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(away);
  if (document.hidden) {
    away = setTimeout(() => { close(); turn("off"); }, HIDDEN);
  } else if (state === "off" && wanted) {
    open();
  }
});
