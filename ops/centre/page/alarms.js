// Alarms: what stands, how grave it is, since when, and the page that ends it. Also the strip that
// shows them above every view.

import { Trouble, get } from "./asking.js";
import { element, fill, onChange, say } from "./element.js";
import { ago, moment } from "./moments.js";
import { address } from "./routes.js";
import { badge, empty, sign, troubled } from "./signs.js";
import { listen } from "./stream.js";
import { capital, plain } from "./words.js";

export const title = "Alarms";
const SHOWN = 2; // in the strip
const ORDER = ["raised", "pending", "unknown", "calm"];
const WORDS = { pending: "not long enough yet", unknown: "cannot be judged", calm: "calm" };

export async function show(root, _route, signal) {
  const place = element("div");
  const draw = onChange((rows) => {
    const sorted = rows.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
    const calm = sorted.filter((row) => row.state === "calm");
    fill(place, sorted.some(stands) ? null : empty("No alarm stands. Nothing to do."), sorted.filter((row) => row.state !== "calm").map(alarm),
      calm.length ? element("section", { class: "card" }, element("div", { class: "head" }, element("h2", {}, "Calm")), element("ul", { class: "calm" }, calm.map((row) => element("li", {}, sign("tick"), plain(spaced(row.name)))))) : null);
  });
  root.append(element("div", { class: "title" }, element("h1", {}, title)), place);
  const load = async () => {
    try {
      draw((await get("/alarms", {}, signal)).rows);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Trouble)) throw error;
      place.replaceChildren(troubled(error, load));
    }
  };
  listen("alarms", load, signal);
  document.addEventListener("convoy:again", load, { signal });
  await load();
}

function stands(row) {
  return row.state === "raised";
}

function alarm(row) {
  const up = stands(row);
  return element("article", { class: `card alarm ${up ? row.severity : "waits"}` },
    element("div", { class: "head" }, element("h2", {}, plain(spaced(row.name))), up ? badge(row.severity) : badge("idle", WORDS[row.state] ?? row.state)),
    row.said ? element("p", {}, capital(plain(row.said))) : null,
    element("p", { class: "faint" }, row.raised ? ["For ", ago(row.raised, ""), ", since ", moment(row.raised), ". "] : null, "What ends it: ", element("code", {}, plain(row.runbook))));
}

/** NoProgress -> No progress */
function spaced(name) {
  return capital(String(name).replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`));
}

/** Keep the strip above the views, and the number beside "Alarms", true. */
export function strip(root, bubble, signal) {
  const draw = onChange((rows) => {
    const standing = rows.filter(stands);
    root.hidden = bubble.hidden = !standing.length;
    say(bubble, standing.length || "");
    bubble.setAttribute("aria-label", `, ${standing.length} standing`);
    const worst = standing.some((row) => row.severity === "critical") ? "critical" : "warning";
    root.className = `standing ${worst}`;
    const more = standing.length - SHOWN;
    fill(root, standing.slice(0, SHOWN).map((row) => element("p", {}, sign("alert"), element("b", {}, `${capital(plain(row.severity))}: `), plain(row.said))),
      element("a", { href: address("alarms"), data: { hold: "alarms" } }, more > 0 ? `${more} more` : "What to do"));
  });
  const load = () => get("/alarms", {}, signal).then(({ rows }) => draw(rows), () => null);
  listen("alarms", load, signal);
  document.addEventListener("convoy:again", load, { signal });
  return load();
}
