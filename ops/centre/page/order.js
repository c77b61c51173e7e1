// A new migration: what, from where, to where. First a preview, which changes nothing; only what was
// previewed can be begun, letter by letter.

import { Trouble, get, part, post } from "./asking.js";
import { element } from "./element.js";
import { announce } from "./notices.js";
import { go } from "./routes.js";
import { sign, troubled } from "./signs.js";
import { count, many, plain } from "./words.js";

export const title = "New migration";
const CHECKS = {
  md5: "same contents (MD5)", manifest: "as proven before, unchanged since",
  mtime: "same length and time", size: "same length",
};
const SHOWN = 20; // refusals

export async function show(root, { wanted }, signal) {
  const fields = inputs();
  const seen = element("div", { class: "preview", "aria-live": "polite" });
  const look = element("button", { type: "submit", class: "main" }, "Preview");
  const begin = element("button", { type: "button", class: "main", hidden: true, on: { click: start } }, "Begin the migration");
  const form = element("form", { class: "card order", on: { submit: preview, input: changed } }, ...fields.rows,
    element("div", { class: "acts" }, look));
  root.append(element("div", { class: "title" }, element("h1", {}, title)),
    element("p", { class: "faint" }, "The preview reads both sides and the list, and changes nothing."),
    element("div", { class: "columns order-columns" }, form, element("section", { class: "card", "aria-labelledby": "part-preview" }, element("div", { class: "head" }, element("h2", { id: "part-preview" }, "Preview")), seen, begin)));
  let previewed = "";
  blank();
  if (wanted.from) await prefill(wanted.from);
  else fields.source.focus();

  function blank() {
    seen.replaceChildren(element("p", { class: "empty" }, "Fill in both sides, then preview."));
    begin.hidden = true;
    previewed = "";
  }

  function changed() {
    if (!previewed) return;
    blank();
    seen.replaceChildren(element("p", { class: "empty" }, "The order was changed: preview it again."));
  }

  async function prefill(id) {
    try {
      fields.take(await get(`/migrations/${part(id)}`, {}, signal));
      look.focus();
    } catch (error) {
      if (signal.aborted) return;
      seen.replaceChildren(troubled(error));
    }
  }

  async function preview(event) {
    event.preventDefault();
    const order = fields.order();
    const foreseen = await sent({ ...order, dry_run: true }, look);
    if (!foreseen) return;
    seen.replaceChildren(...shown(foreseen));
    previewed = foreseen.errors?.length ? "" : JSON.stringify(order);
    begin.hidden = !previewed;
    if (previewed) begin.focus();
  }

  async function start() {
    const order = fields.order();
    if (JSON.stringify(order) !== previewed) return changed();
    const begun = await sent({ ...order, dry_run: false }, begin);
    if (!begun) return;
    announce(`${begun.id} has begun: ${many(begun.planned, "unit")} planned${begun.refused ? `, ${many(begun.refused, "line")} of the list refused` : ""}.`);
    go("migrations", begun.id);
  }

  async function sent(body, button) {
    button.disabled = true;
    seen.setAttribute("aria-busy", "true");
    try {
      return await post("/migrations", body);
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      seen.replaceChildren(troubled(error));
      begin.hidden = true;
      previewed = "";
      return null;
    } finally {
      button.disabled = false;
      seen.removeAttribute("aria-busy");
    }
  }
}

function inputs() {
  const source = text("source", "From", "file:///srv/old/{user}, s3://bucket/prefix, manifest+https://\u2026", true);
  const target = text("target", "To", "written the same way; {user} may stand anywhere in it", true);
  const users = element("textarea", { id: "order-users", rows: 5, spellcheck: "false", "aria-describedby": "order-users-more" });
  const check = element("select", { id: "order-check" }, Object.entries(CHECKS).map(([value, words]) => element("option", { value }, words)));
  const overwrite = element("input", { type: "checkbox", id: "order-overwrite" });
  const [tenant, bandwidth, requests] = [text("tenant", "Tenant", "tenants share the fleet in equal parts"), text("bandwidth", "Bandwidth limit", "e.g. 200MiB/s; empty for none"), text("requests", "Request limit", "e.g. 500/s; empty for none")];
  const why = text("why", "Reason", "for the audit trail");
  const rows = [source.row, target.row,
    row(users, "Users", "one ID per line; empty: all that the source shows"),
    row(check, "An item on the target is right if it has the"),
    element("p", { class: "field check" }, overwrite, element("label", { for: overwrite.id }, "Replace what somebody else wrote to the target")),
    element("details", {}, element("summary", {}, "Limits, tenant, reason"), bandwidth.row, requests.row, tenant.row, why.row)];
  const words = { source, target, tenant, bandwidth, requests, why };
  return { rows, source: source.input, order, take };

  function order() {
    const list = users.value.split(/\r?\n/).filter((line) => line !== "");
    const said = Object.fromEntries(Object.entries(words).map(([name, each]) => [name, each.input.value.trim()]));
    return { kind: "users", ...said, users: list.length ? list : null, check: check.value, overwrite: overwrite.checked };
  }

  function take(now) {
    source.input.value = now.source;
    target.input.value = now.target;
    tenant.input.value = now.tenant ?? "";
    bandwidth.input.value = now.limits?.bandwidth ?? "";
    requests.input.value = now.limits?.requests ?? "";
    check.value = now.options?.check ?? "md5";
    overwrite.checked = Boolean(now.options?.overwrite);
  }
}

function text(name, label, more, required = false) {
  const input = element("input", { id: `order-${name}`, name, autocomplete: "off", spellcheck: "false", autocapitalize: "none", required });
  return { input, row: row(input, label, more) };
}

function row(input, label, more = "") {
  const id = `${input.id}-more`;
  if (more) input.setAttribute("aria-describedby", id);
  return element("p", { class: "field" }, element("label", { for: input.id }, label), input, more ? element("span", { class: "hint", id }, more) : null);
}

function shown(found) {
  const pairs = [["Would be", `${found.id}, generation ${found.generation}`], ["From", found.source], ["To", found.target], ["Users", count(found.users)],
    ["Refused", found.refused ? many(found.refused, "line") : ""],
    ...Object.entries(found.limits ?? {}).map(([name, value]) => [name.replace(".", ": "), value])];
  const notes = [...(found.errors ?? []).map((line) => ["bad", line]), ...(found.notices ?? []).map((line) => ["grey", line])];
  const refusals = (found.refusals ?? []).slice(0, SHOWN).map(([line, what, why]) => element("li", {}, `line ${line}: `, element("bdi", {}, plain(what)), `: ${why}`));
  return [
    element("p", { class: "verdict" }, sign(found.errors?.length ? "alert" : "tick"), found.errors?.length ? "This cannot be begun. Nothing was changed." : "This can be begun. Nothing was changed."),
    element("dl", { class: "pairs" }, pairs.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, element("bdi", {}, plain(value)))])),
    ...notes.map(([tone, line]) => element("p", { class: `note ${tone}` }, sign(tone === "bad" ? "alert" : "list"), plain(line))),
    refusals.length ? element("details", { open: true }, element("summary", {}, "Lines that would be refused"), element("ul", { class: "plain" }, refusals)) : null,
  ].filter(Boolean);
}
