// The frame of the page: who is here, which view is shown, whether the line is open, light or dark.

import { strip } from "./alarms.js";
import { Trouble } from "./asking.js";
import { element, say } from "./element.js";
import { listenToKeys, showKeys } from "./keys.js";
import { clock, turnZone, zone, zoneInShort } from "./moments.js";
import { address, here } from "./routes.js";
import { askIn, forget, leave, meet, session } from "./session.js";
import { sign, troubled } from "./signs.js";
import { follow, stop, watchLine } from "./stream.js";

const VIEWS = {
  migrations: () => import("./migrations.js"),
  migration: () => import("./migration.js"),
  consumers: () => import("./consumers.js"),
  hosts: () => import("./hosts.js"),
  alarms: () => import("./alarms.js"),
  audit: () => import("./audit.js"),
  new: () => import("./order.js"),
};
const LINES = { live: "Live", connecting: "Not live: connecting", off: "Not live" };
const main = document.getElementById("content");
const at = (id) => document.getElementById(id);
let shown = null; // ends the present view
let inside = null; // ends what lives as long as the session

async function begin() {
  try {
    if (await meet()) enter();
    else outside();
  } catch (trouble) {
    main.replaceChildren(troubled(trouble, begin));
  }
}

function enter() {
  inside?.abort();
  inside = new AbortController();
  frame(true);
  const { user, role } = session();
  say(at("person"), `${user} (${role})`);
  strip(at("standing"), at("alarm-count"), inside.signal);
  view(false);
}

function outside() {
  document.querySelector("dialog[open]")?.close(); // it would stand before the form
  forget();
  shown?.abort();
  inside?.abort();
  stop();
  frame(false);
  document.title = "Sign in \u2013 Convoy";
  askIn(main, enter);
}

function frame(known) {
  for (const id of ["nav", "zone", "help", "person", "leave", "live"]) at(id).hidden = !known;
  if (!known) at("standing").hidden = true;
}

/** Show the view that the address names; `moved`: the person went there, so the focus follows. */
async function view(moved = true) {
  if (!session()) return;
  shown?.abort();
  shown = new AbortController();
  const { signal } = shown;
  const route = here();
  const name = route.view === "migrations" && route.id ? "migration" : route.view;
  const root = element("div", { class: `view ${name in VIEWS ? name : ""}`, "aria-busy": "true" });
  document.querySelector("dialog[open]")?.close();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === route.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  follow(name === "migration" ? route.id : "");
  main.replaceChildren(root);
  if (moved) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  try {
    await render(name, root, route, signal);
  } catch (error) {
    if (signal.aborted) return;
    root.append(troubled(error instanceof Trouble ? error : { what: "This view failed", advice: `Load the page again. ${error.message}` }, () => location.reload()));
    if (!(error instanceof Trouble)) console.error(error);
  } finally {
    root.removeAttribute("aria-busy");
  }
}

async function render(name, root, route, signal) {
  const load = Object.hasOwn(VIEWS, name) ? VIEWS[name] : null;
  if (!load) {
    root.append(element("h1", {}, "There is no such view"), element("p", {}, element("a", { href: address("migrations") }, "All migrations")));
    return;
  }
  const { show, title } = await load();
  if (signal.aborted) return;
  document.title = `${route.id || title} \u2013 Convoy`;
  await show(root, route, signal);
}

function line({ state, since }) {
  const node = at("live");
  node.className = `live ${state}`;
  const last = state === "live" || !since ? "" : `, last news ${clock(since / 1000, true)}`;
  node.replaceChildren(sign(state === "live" ? "tick" : "alert"), element("span", {}, LINES[state] + last));
}

/** After a gap nothing that is shown can be trusted: every view asks again. */
function mended() {
  let before = "off";
  return ({ state }) => {
    if (state === "live" && before === "lost") document.dispatchEvent(new CustomEvent("convoy:again"));
    before = state === "live" ? "live" : before === "live" ? "lost" : before;
  };
}

function dark() {
  const chosen = document.documentElement.dataset.shade;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function shade() {
  say(at("shade"), dark() ? "Light" : "Dark");
  at("shade").setAttribute("aria-label", dark() ? "Change to light colours" : "Change to dark colours");
}

function turnShade() {
  const to = dark() ? "light" : "dark";
  document.documentElement.dataset.shade = to;
  try {
    localStorage.setItem("convoy.shade", to);
  } catch {
    // it holds for this visit
  }
  shade();
}

function zoned() {
  say(at("zone"), zoneInShort());
  at("zone").title = zone();
  at("zone").setAttribute("aria-label", `${zoneInShort()}: times are in ${zone()}; change`);
}

addEventListener("hashchange", () => view());
document.addEventListener("convoy:stranger", () => session() && outside());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", shade);
at("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
at("shade").addEventListener("click", turnShade);
at("help").addEventListener("click", showKeys);
at("zone").addEventListener("click", () => { turnZone(); zoned(); view(false); });
at("leave").addEventListener("click", () => leave().then(outside, outside));
watchLine(line);
watchLine(mended());
listenToKeys();
shade();
zoned();
begin();
