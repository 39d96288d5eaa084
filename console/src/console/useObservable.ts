// A value of the client library as a value of a component.

import type { Observable } from "agent-websocket";
import { useEffect, useState } from "preact/hooks";

/** Deltas come faster than screens are drawn: with `framed`, at most one drawing a frame of the screen. */
export function useObservable<T>(observable: Observable<T>, framed = false): T {
  const [value, setValue] = useState({ of: observable, value: observable.value });
  useEffect(() => {
    let frame = 0;
    const show = (): void => {
      frame = 0;
      setValue({ of: observable, value: observable.value });
    };
    const leave = observable.subscribe(() => {
      // A page that is not seen has no frames, and must not be behind when it is seen.
      if (!framed || document.hidden) show();
      else frame ||= requestAnimationFrame(show);
    });
    return () => {
      leave();
      cancelAnimationFrame(frame);
    };
  }, [observable, framed]);
  return value.of === observable ? value.value : observable.value;
}
