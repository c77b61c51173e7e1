// The audit trail: everything that anybody told any migration, and what the fleet decided.

import { element } from "./element.js";
import { trail } from "./past.js";
import { listen } from "./stream.js";
import { calmly } from "./table.js";

export const title = "Audit trail";
const REST = 5000; // milliseconds

export async function show(root, _route, signal) {
  const table = trail(signal);
  root.append(element("div", { class: "title" }, element("h1", {}, title)), table.root);
  const again = calmly(() => table.load(), REST, signal);
  listen("migrations", again, signal);
  document.addEventListener("convoy:again", again, { signal });
  await table.seek({});
}
