// What did not arrive, grouped by the reason, with what to do about each, and examples by name.

import { act, offered } from "./acts.js";
import { Trouble, get } from "./asking.js";
import { element, fill, onChange } from "./element.js";
import { section, sign, troubled } from "./signs.js";
import { count, many, plain } from "./words.js";

/** The failures of a migration: {root, load, draw(migration)}; hidden while there are none. */
export function failures(path, seen, taken, signal) {
  const place = element("div", { class: "reasons" });
  const again = element("div");
  const root = section("Failures", place, again);
  root.hidden = true;
  root.classList.add("failures");
  const draw = onChange(({ groups, total, more }) => {
    root.hidden = !groups.length;
    fill(place, groups.map((group, at) => reason(group, at)), more ? element("p", { class: "faint" }, `These are the reasons of the first ${many(total, "failure")}; `, element("code", {}, `convoy failures ${seen().id}`), " names all.") : null);
  });
  return { root, load, draw: buttons };

  async function load() {
    try {
      draw(await get(`${path}/failures`, {}, signal));
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Trouble)) throw error;
      root.hidden = false;
      place.replaceChildren(troubled(error, load));
    }
  }

  function buttons(now) {
    const may = offered(now).includes("requeue");
    if (may === Boolean(again.firstChild)) return;
    fill(again, may ? element("button", { type: "button", data: { hold: "requeue-all" }, on: { click: () => act("requeue", seen(), taken) } }, "Requeue all\u2026") : null);
  }
}

function reason({ reason: why, advice, count: times, examples }, at) {
  const lines = (examples ?? []).map((each) => element("li", {}, element("b", {}, element("bdi", {}, plain(each.user || "the list"))), " ", element("bdi", {}, plain(each.item || each.unit)), each.reason && why.includes("\u2026") ? element("span", { class: "faint facts" }, plain(each.reason)) : null));
  return element("details", { class: "reason", data: { reason: why }, open: at === 0 },
    element("summary", { data: { hold: `reason-${at}` } }, sign("alert"), element("span", { class: "why" }, plain(why)), element("span", { class: "times" }, `${count(times)} \u00d7`)),
    advice ? element("p", { class: "advice" }, plain(advice)) : null,
    element("ul", { class: "examples" }, lines),
    times > lines.length ? element("p", { class: "faint" }, `and ${count(times - lines.length)} more`) : null);
}
