// Text that is being written, put together from deltas. Pure.
//
// A delta is placed at its offset, never appended: applying one twice changes nothing, and one that lies beyond what is held
// shows that something was missed. Offsets count UTF-16 code units, as JavaScript's strings do.

export interface Draft {
  readonly attempt: number;
  readonly text: string;
}

/** The draft with the delta in its place; null when something before it is missing. */
export function place(draft: Draft, delta: { attempt: number; offset: number; content: string }): Draft | null {
  if (delta.attempt < draft.attempt) return draft;
  const held = delta.attempt > draft.attempt ? "" : draft.text;
  if (delta.offset > held.length) return null;
  // Already held, to the last unit: a repeat must not cut off what came after it.
  if (delta.attempt === draft.attempt && held.startsWith(delta.content, delta.offset)) return draft;
  return { attempt: delta.attempt, text: held.slice(0, delta.offset) + delta.content };
}
