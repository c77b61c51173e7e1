// Lists in pages: the centre turns the pages, so that ten thousand rows cost as much as fifty.
// A row is drawn anew only when it changed; the keyboard keeps its place.

import { Trouble, get } from "./asking.js";
import { element, fill, say } from "./element.js";
import { empty, troubled } from "./signs.js";
import { NOTHING, count } from "./words.js";

/**
 * A table of `columns` ({title, cell(row), class?}) over the rows that `path` gives.
 * `keyOf(row)` names a row; `none` is said when there are none.
 */
export class Table {
  constructor({ label, path, columns, keyOf, none, size = 50, signal, lead = null, loaded = null, turned = null }) {
    Object.assign(this, { label, path, columns, keyOf, none, size, signal, lead, loaded, turned });
    this.wanted = {};
    this.cursors = [""]; // of the pages up to the present one
    this.rows = new Map();
    this.asked = 0;
    this.stale = false;
    this.build();
  }

  build() {
    this.body = element("tbody", { role: "rowgroup" });
    const heads = this.columns.map((column) => element("th", { scope: "col", role: "columnheader", class: column.class }, column.title));
    this.grid = element("table", { role: "table", "aria-label": this.label },
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, heads)), this.body);
    this.place = element("div", { class: "instead" });
    this.said = element("span", { class: "faint", role: "status" });
    this.back = element("button", { type: "button", on: { click: () => this.turn(-1) } }, "Previous");
    this.on = element("button", { type: "button", on: { click: () => this.turn(1) } }, "Next");
    this.pager = element("div", { class: "pager", role: "group", "aria-label": `Pages of ${this.label}` }, this.said, this.back, this.on);
    this.root = element("div", { class: "listing", "aria-busy": "true" }, this.grid, this.place, this.pager);
    this.grid.hidden = this.pager.hidden = true;
  }

  /** Show what is wanted now: the first page, or the one to which `cursors` led. */
  seek(wanted, cursors = [""]) {
    this.wanted = wanted;
    this.cursors = cursors;
    return this.load();
  }

  async turn(by) {
    if (by < 0) this.cursors.pop();
    else this.cursors.push(this.next);
    this.turned?.(this.cursors);
    await this.load();
    this.grid.scrollIntoView({ block: "nearest" });
    if (this.back.disabled || this.on.disabled) (by > 0 ? this.back : this.on).focus();
  }

  /** Ask for the present page again. Only the latest question counts. */
  async load() {
    const turn = (this.asked += 1);
    try {
      const after = this.cursors.at(-1);
      const found = await get(this.path, { ...this.wanted, limit: this.size, after }, this.signal);
      if (turn !== this.asked || this.signal?.aborted) return;
      this.show(found);
    } catch (error) {
      if (turn !== this.asked || this.signal?.aborted) return;
      if (!(error instanceof Trouble)) throw error;
      this.place.replaceChildren(troubled(error, () => this.load()));
      this.root.removeAttribute("aria-busy");
    }
  }

  show({ rows, next, total, ...more }) {
    const known = new Map(rows.map((row) => [this.keyOf(row), row]));
    for (const key of this.rows.keys()) if (!known.has(key)) this.drop(key);
    let before = null;
    for (const [key, row] of known) {
      const line = this.draw(key, row);
      const follows = before ? before.nextSibling : this.body.firstChild;
      if (follows !== line) this.body.insertBefore(line, follows);
      before = line;
    }
    this.next = next;
    this.frame(rows.length, total);
    this.loaded?.({ rows, total, ...more });
  }

  frame(shown, total) {
    const first = (this.cursors.length - 1) * this.size;
    const of = total === null || total === undefined ? "" : ` of ${count(total)}`;
    this.grid.hidden = shown === 0;
    this.place.replaceChildren(...(shown ? [] : [empty(this.none)]));
    say(this.said, shown ? `${count(first + 1)}\u2013${count(first + shown)}${of}` : "");
    this.back.disabled = this.cursors.length < 2;
    this.on.disabled = !this.next;
    this.pager.hidden = shown === 0;
    this.back.hidden = this.on.hidden = this.back.disabled && this.on.disabled;
    this.root.removeAttribute("aria-busy");
  }

  /** Take over rows that changed; true if some are not on this page. */
  amend(rows) {
    let strange = false;
    for (const row of rows) {
      const key = this.keyOf(row);
      if (this.rows.has(key) && !row.gone) this.draw(key, row);
      else strange = true;
    }
    return strange;
  }

  draw(key, row) {
    const known = this.rows.get(key);
    const said = JSON.stringify(row);
    if (known?.said === said) return known.line;
    const line = known?.line ?? element("tr", { role: "row" });
    line.className = this.lead?.(row) ?? "";
    const cells = this.columns.map((column) => {
      const tag = column.head ? "th" : "td";
      const role = column.head ? "rowheader" : "cell";
      const cell = element(tag, { role, scope: column.head ? "row" : null, class: column.class, data: { title: column.title } }, column.cell(row));
      cell.classList.toggle("none", cell.textContent === NOTHING);
      return cell;
    });
    fill(line, cells);
    this.rows.set(key, { line, said });
    return line;
  }

  drop(key) {
    this.rows.get(key).line.remove();
    this.rows.delete(key);
  }
}

/** Call `act` soon, once for many wishes, and not more often than every `rest` milliseconds. */
export function calmly(act, rest, signal) {
  let timer = 0;
  let last = 0;
  signal?.addEventListener("abort", () => clearTimeout(timer));
  return () => {
    if (timer || signal?.aborted) return;
    timer = setTimeout(() => {
      timer = 0;
      last = Date.now();
      act();
    }, Math.max(0, last + rest - Date.now()));
  };
}
