// One dialog at a time, of the browser's own kind: it holds the keyboard, Escape leaves it, and the
// focus goes back to where it came from. Errors are shown in it, and what was typed stays.

import { Trouble } from "./asking.js";
import { element } from "./element.js";
import { troubled } from "./signs.js";

/**
 * Ask for `fields` ({name, label, value, like, half}) and, if `confirm` is set, for that name letter by letter.
 * `send(given)` does it; `sent(answer)` is called when it is done.
 */
export function ask({ title, said, fields, confirm = "", go, danger = false, send, sent }) {
  const wrong = element("div");
  const rows = fields.map(row);
  const name = element("input", { id: "ask-confirm", autocomplete: "off", spellcheck: "false", autocapitalize: "none", "aria-describedby": "ask-name" });
  const button = element("button", { type: "submit", class: danger ? "danger main" : "main" }, go);
  const form = element("form", { method: "dialog", on: { submit } },
    element("h2", { id: "ask-title" }, title), element("p", { id: "ask-said" }, said), element("div", { class: "rows" }, rows),
    confirm ? element("p", { class: "field" }, element("label", { for: name.id }, "To go on, type the migration\u2019s name ", element("code", { id: "ask-name" }, confirm)), name) : null,
    wrong,
    element("div", { class: "acts" }, element("button", { type: "button", on: { click: () => dialog.close() } }, "Leave it"), button));
  const dialog = element("dialog", { class: "ask", "aria-labelledby": "ask-title", "aria-describedby": "ask-said" }, form);
  if (confirm) {
    button.disabled = true;
    name.addEventListener("input", () => { button.disabled = name.value !== confirm; });
  }
  open(dialog);
  form.querySelector("input").focus();

  async function submit(event) {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    const given = Object.fromEntries([...form.querySelectorAll("[data-field]")].map((input) => [input.name, input.value.trim()]));
    try {
      const answer = await send(confirm ? { ...given, confirm: name.value } : given);
      dialog.close();
      sent(answer);
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      wrong.replaceChildren(troubled(error));
    } finally {
      button.disabled = false;
    }
  }
}

function row({ name, label, value = "", like = null, half = false }) {
  const input = element("input", { id: `ask-${name}`, name, value, autocomplete: "off", placeholder: like, data: { field: "" } });
  return element("p", { class: half ? "field half" : "field" }, element("label", { for: input.id }, label), input);
}

/** Show a dialog above everything; it leaves the page when it is closed. */
export function open(dialog) {
  document.querySelector("dialog[open]")?.close();
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}
