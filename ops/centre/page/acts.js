// What one can tell a migration. Every act is asked for in a dialog that says what it does; a
// dangerous one wants the migration's name. What the centre refuses is shown where it was asked.

import { part, post } from "./asking.js";
import { ask } from "./dialog.js";
import { element } from "./element.js";
import { announce } from "./notices.js";
import { may } from "./session.js";
import { many, plain } from "./words.js";

const WIDTHS = { bandwidth: "200MiB/s", requests: "500/s" };
const SIDES = { "": "Whole fleet", "source.": "Source", "target.": "Target" };
const MANY = 10; // units; releasing more than these at once wants the name

const ACTS = {
  pause: { label: "Pause", keys: "p", done: "is paused", said: "Units in hand are given back at the next item, no others start. Nothing is lost; Resume goes on." },
  resume: { label: "Resume", keys: "p", done: "goes on", said: "Units are handed out again." },
  drain: { label: "Drain", done: "is draining", said: "Units in hand are finished, no others start." },
  requeue: { label: "Requeue", done: "has its units queued again", said: "All units in quarantine are tried again. Mend the cause first, or they come back." },
  release: { label: "Release", done: "has units released", said: "The units chosen leave quarantine and are tried again." },
  limits: { label: "Change limits", done: "has new limits", said: "Budgets of the fleet as a whole for this migration, obeyed within seconds. An empty field takes a limit away; a timetable like 08:00-18:00=50MiB/s,200MiB/s is in UTC." },
  advance: { label: "Advance", done: "goes on to its next phase", said: "Lets it through the gate at which it waits." },
  approve: { label: "Approve", role: "approver", done: "is approved", said: "You vouch for what was asked for. Whoever asked cannot approve it." },
  rollback: { label: "Roll back", go: "Roll back", danger: true, done: "is rolled back", said: "Goes back the planned way, with a proof of its own." },
  cancel: { label: "Cancel", go: "Cancel the migration", danger: true, done: "is cancelled", said: "Ends this run where it stands. What was moved stays moved; a new run skips what is right." },
};

/** The names of the acts that make sense for `now`, in order. The centre decides all the same. */
export function offered(now) {
  return Object.keys(ACTS).filter((name) => sensible(name, now) && may(ACTS[name].role ?? "operator"));
}
offered.acts = ACTS;

function sensible(name, now) {
  if (now.over) return false;
  const gate = now.gate?.events ?? [];
  switch (name) {
    case "pause": return now.hold !== "paused";
    case "drain": return !now.hold;
    case "resume": return Boolean(now.hold);
    case "requeue": return now.units.quarantined > 0;
    case "release": return now.units.quarantined > 0;
    case "advance": case "approve": case "rollback": return gate.includes(name);
    default: return true;
  }
}

/** Ask the person, then the centre; `taken` gets what the centre answers. */
export function act(name, now, taken, more = {}) {
  const { label, go, danger, said, done } = ACTS[name];
  const called = now.name ?? now.id;
  const fields = name === "limits" ? budgets(now.limits ?? {}) : [];
  const wary = danger || name === "requeue" || (more.units?.length ?? 0) > MANY;
  return ask({
    title: `${label}: ${plain(called)}`,
    said: said + counted(name, now, more),
    fields: [...fields, { name: "why", label: "Reason (for the audit trail)" }],
    confirm: wary ? called : "",
    go: go ?? label,
    danger,
    send: (given) => sent(name, given, more, now),
    sent: (answer) => {
      announce(`${plain(called)} ${done}${answer.released === undefined ? "" : `: ${many(answer.released, "unit")}`}.`);
      taken({ phase: answer.phase, hold: answer.hold, limits: answer.limits, version: answer.version });
      document.dispatchEvent(new CustomEvent("convoy:again"));
    },
  });
}

function counted(name, now, { units }) {
  if (name === "requeue") return ` These are ${many(now.units.quarantined, "unit")}.`;
  return name === "release" && units ? ` These are ${many(units.length, "unit")}.` : "";
}

/** Do it; units are released one by one, so that each stands in the trail by its name. */
async function sent(name, { why, confirm, ...given }, { units }, now) {
  const route = `/migrations/${part(now.id)}/${name}`;
  if (name === "limits") return post(route, { why, limits: changed(given, now.limits ?? {}) });
  if (!units) return post(route, confirm ? { why, confirm } : { why });
  let released = 0;
  let answer = {};
  for (const unit of units) {
    answer = await post(route, { why, unit });
    released += answer.released;
  }
  return { ...answer, released };
}

/** The limits that are not as they were; an empty field takes one away. */
function changed(given, limits) {
  const others = Object.entries(given).filter(([name, value]) => value !== (limits[name] ?? ""));
  return Object.fromEntries(others.map(([name, value]) => [name, value || "off"]));
}

function budgets(limits) {
  return Object.entries(SIDES).flatMap(([side, whose]) => Object.entries(WIDTHS).map(([name, like]) => ({
    name: side + name, label: `${whose}: ${name}`, value: limits[side + name] ?? "", like: `e.g. ${like}`, half: true,
  })));
}

/** A short word on what one may do here, for somebody who may only look. */
export function limited() {
  return may("operator") ? null : element("p", { class: "faint" }, "You may look, not act: your role is viewer.");
}
