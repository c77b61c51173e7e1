// Addresses within the page: #/migrations/ID?text=x. What a person sees is in the address, so that
// it can be sent to a colleague and the back button works.

/** {view, id, wanted} of the present address. */
export function here() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", ...rest] = path.split("/");
  return { view: view || "migrations", id: decoded(rest.join("/")), wanted: Object.fromEntries(new URLSearchParams(search)) };
}

/** The address of a view. */
export function address(view, id = "", wanted = {}) {
  const pairs = Object.entries(wanted).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const search = pairs.length ? `?${new URLSearchParams(pairs)}` : "";
  return `#/${view}${id ? `/${encodeURIComponent(id)}` : ""}${search}`;
}

export function go(view, id, wanted) {
  location.hash = address(view, id, wanted);
}

/** Note what is wanted in the address, without a new entry in the history and without a new view;
    `kept` is found again in `history.state` when somebody comes back. */
export function note(wanted, kept = null) {
  const { view, id } = here();
  history.replaceState(kept, "", address(view, id, wanted));
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // not of our making; the centre will say that there is no such thing
  }
}
