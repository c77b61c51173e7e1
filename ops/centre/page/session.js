// Who sits here and what he may do; and the form that asks for it. Keeps no password and no token:
// the cookie is the browser's, and no script can read it.

import { carry, get, post, remove } from "./asking.js";
import { element } from "./element.js";

const RANK = { viewer: 0, operator: 1, approver: 2 };
let present = null;

/** {user, role, expires} or null. */
export function session() {
  return present;
}

/** May the person here act as `role` may? The centre decides; this only spares useless buttons. */
export function may(role) {
  return present !== null && (RANK[present.role] ?? -1) >= RANK[role];
}

/** Ask who is here; null if nobody is. */
export async function meet() {
  try {
    present = await get("/session");
  } catch (trouble) {
    if (trouble.status !== 401) throw trouble;
    present = null;
  }
  carry(present?.csrf);
  return present;
}

export async function leave() {
  await remove("/session");
  forget();
}

/** Nobody is here any more. */
export function forget() {
  present = null;
  carry("");
}

/** The form of the log-in, in `root`; `entered` is called when somebody is in. */
export function askIn(root, entered) {
  let byToken = false;
  const user = field("user", "Name", { autocomplete: "username", autocapitalize: "none", spellcheck: "false" });
  const password = field("password", "Password", { type: "password", autocomplete: "current-password" });
  const token = field("token", "Token", { type: "password", autocomplete: "off" });
  const wrong = element("p", { class: "wrong", role: "alert" });
  const enter = element("button", { type: "submit", class: "main" }, "Sign in");
  const other = element("button", { type: "button", class: "link", on: { click: () => turn(!byToken) } });
  const form = element("form", { class: "card enter", on: { submit } },
    element("h1", {}, "Sign in to Convoy"),
    user.row, password.row, token.row, wrong, enter, other,
    element("p", { class: "faint" }, "Names are made with ", element("code", {}, "convoy serve user add NAME --role R"), " on the centre\u2019s host."));
  root.replaceChildren(form);
  turn(false);

  function turn(to) {
    byToken = to;
    user.row.hidden = password.row.hidden = byToken;
    token.row.hidden = !byToken;
    user.input.required = password.input.required = !byToken;
    token.input.required = byToken;
    other.textContent = byToken ? "Sign in with name and password instead" : "Sign in with a token instead";
    (byToken ? token : user).input.focus();
  }

  async function submit(event) {
    event.preventDefault();
    wrong.textContent = "";
    enter.disabled = true;
    const proof = byToken ? { token: token.input.value } : { user: user.input.value, password: password.input.value };
    password.input.value = token.input.value = "";
    try {
      await post("/session", proof);
      if (await meet()) entered();
    } catch (trouble) {
      wrong.textContent = `${trouble.what}. ${trouble.advice ?? ""}`;
      (byToken ? token : password).input.focus();
    } finally {
      enter.disabled = false;
    }
  }
}

function field(name, label, attributes) {
  const input = element("input", { id: `enter-${name}`, name, ...attributes });
  return { input, row: element("p", { class: "field" }, element("label", { for: input.id }, label), input) };
}
