// Makes elements from names, attributes and children. Every string becomes a text node, never
// markup; attributes that could carry code (handlers, styles, foreign addresses) are refused.

const SVG = "http://www.w3.org/2000/svg";

/** element("a", {class: "name", href: "#/x", on: {click}}, "text", child, [children]) */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for what stands inside an <svg>, and for <svg> itself. */
export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) assign(node, name, value);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function assign(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "on") {
    for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
  } else if (name === "data") {
    Object.assign(node.dataset, value);
  } else if (name === "value") {
    node.value = value;
  } else if (/^(on|style|srcdoc)/i.test(name) || (/^(href|src|action)$/.test(name) && !ours(value))) {
    throw new Error(`refused attribute ${name}=${value}`);
  } else {
    node.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Does this address lead to our own page and nowhere else? */
function ours(address) {
  return /^(#|[\w-]+\.(svg|css|js)$|\/(?![/\\]))/.test(String(address));
}

/** Replace what `node` shows, unless it shows the same text already. */
export function say(node, text) {
  if (node.textContent !== String(text)) node.textContent = String(text);
}

/** Show `children` in `node`, and leave the keyboard where it was if the same place is there again. */
export function fill(node, ...children) {
  const held = node.contains(document.activeElement) && document.activeElement.dataset.hold;
  node.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (held) node.querySelector(`[data-hold="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
}

/** Run `draw(value)` whenever `value` differs from last time; what stands still is not redrawn. */
export function onChange(draw) {
  let last;
  return (value) => {
    const said = JSON.stringify(value);
    if (said === last) return;
    last = said;
    draw(value);
  };
}
