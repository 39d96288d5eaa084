// Moments and lengths as people read them.

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function timeOf(moment: string): string {
  return TIME.format(new Date(moment));
}

/** The whole moment: for titles. */
export function whole(moment: string): string {
  return WHOLE.format(new Date(moment));
}

/** The time if it is of today, else the day. */
export function short(moment: string, now = new Date()): string {
  const then = new Date(moment);
  return then.toDateString() === now.toDateString() ? TIME.format(then) : DAY.format(then);
}

/** The group of a list that a moment belongs to. */
export function group(moment: string, now = new Date()): "Today" | "Yesterday" | "This week" | "Earlier" {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  const then = new Date(moment).getTime();
  const day = 24 * 60 * 60 * 1000;
  if (then >= midnight) return "Today";
  if (then >= midnight - day) return "Yesterday";
  return then >= midnight - 6 * day ? "This week" : "Earlier";
}

/** A length in milliseconds. */
export function length(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  return minutes < 60 ? `${minutes} min ${Math.round((ms % 60_000) / 1000)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
