// Numbers as people read them, each with its unit; the same spelling as on the command line.

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const NOTHING = "\u2013"; // what stands where there is nothing to say

/** 12345 -> "12,345" */
export function count(value) {
  return value === null || value === undefined ? NOTHING : NUMBER.format(value);
}

/** many(2, "unit") -> "2 units" */
export function many(value, what) {
  return `${count(value)} ${what}${Number(value) === 1 ? "" : "s"}`;
}

/** 1536 -> "1.5 KiB" */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return NOTHING;
  let left = Number(bytes);
  for (const [unit, digits] of [["B", 0], ["KiB", 1], ["MiB", 1], ["GiB", 1], ["TiB", 1]]) {
    if (Math.abs(Number(left.toFixed(digits))) < 1024) return `${left.toFixed(digits)} ${unit}`;
    left /= 1024;
  }
  return `${left.toFixed(1)} PiB`;
}

/** A number per second: 1234.5 -> "1,235", 0.25 -> "0.25" */
export function pace(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value === 0 || value >= 100) return count(value);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** 4000 (seconds) -> "1h06m" */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  const whole = Math.max(0, Math.round(seconds));
  const days = Math.floor(whole / 86400);
  if (days >= 2) return `${days}d${String(Math.floor((whole % 86400) / 3600)).padStart(2, "0")}h`;
  const minutes = Math.floor(whole / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, "0")}m`;
  return minutes ? `${minutes}m${String(whole % 60).padStart(2, "0")}s` : `${whole} s`;
}

/** How much of `whole` is done, 0 to 1; never 1 before all of it is. */
export function share(done, whole) {
  if (!whole) return 0;
  return done >= whole ? 1 : Math.min(0.999, done / whole);
}

/** 0.7312 -> "73 %"; what has begun is never 0 %, what is not over never 100 %. */
export function percent(part) {
  if (part > 0 && part < 0.01) return "< 1 %";
  return `${part >= 1 ? 100 : Math.min(99, Math.floor(part * 100))} %`;
}

/** A place as a person reads it: the text, with what a terminal or a page would hide made visible. */
export function plain(text) {
  return String(text ?? "").replace(
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (sign) => `\\u${sign.codePointAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The first letter large. */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
