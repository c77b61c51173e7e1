// Short words on what was done, said to screen readers too; each goes away by itself.

import { element } from "./element.js";
import { sign } from "./signs.js";

const STAYS = 8000; // milliseconds

export function announce(text) {
  const note = element("p", { class: "notice" }, sign("tick"), element("span", {}, text),
    element("button", { type: "button", class: "quiet", "aria-label": "Dismiss", on: { click: () => note.remove() } }, sign("cross")));
  document.getElementById("notices").append(note);
  setTimeout(() => note.remove(), STAYS);
}
