// A value that components watch, in the shape of the client library's.

import type { Observable } from "agent-websocket";

export class Value<T> implements Observable<T> {
  readonly #listeners = new Set<(value: T) => void>();

  constructor(public value: T) {}

  set(value: T): void {
    this.value = value;
    for (const listener of [...this.#listeners]) listener(value);
  }

  subscribe(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    listener(this.value);
    return () => void this.#listeners.delete(listener);
  }
}
