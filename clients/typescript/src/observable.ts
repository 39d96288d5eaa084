// A value that can be read and watched: the shape that React's `useSyncExternalStore` and Svelte's stores take as it is.

export interface Observable<T> {
  readonly value: T;
  /** Calls `listener` now and after each change. Returns what ends it. */
  subscribe(listener: (value: T) => void): () => void;
}

export class Subject<T> implements Observable<T> {
  #value: T;
  #listeners = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) tell(listener, value);
  }

  subscribe = (listener: (value: T) => void): (() => void) => {
    // A function of its own, so that the same listener can subscribe twice and leave once.
    const own = (value: T): void => listener(value);
    this.#listeners.add(own);
    tell(own, this.#value);
    return () => void this.#listeners.delete(own);
  };
}

/** Calls a listener of the application. What it throws is reported as uncaught and stops nothing here. */
export function tell<T>(listener: (value: T) => void, value: T): void {
  try {
    listener(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
