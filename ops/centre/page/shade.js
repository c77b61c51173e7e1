// Light or dark before anything is drawn: as chosen here earlier, else as the system says.
// A classic script on purpose: a module would run after the first frame.
"use strict";
try {
  const chosen = localStorage.getItem("convoy.shade");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.shade = chosen;
} catch {
  // storage is forbidden: the system's choice holds
}
