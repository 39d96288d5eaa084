// Asks the server for what a view shows, and again while somebody looks at it.

import { useEffect, useState } from "preact/hooks";
import type { TokenKeeper } from "../token.ts";
import { ask, Refused } from "./api.ts";

export interface Data<T> { value: T | undefined; fault: Refused | undefined }

/** `everyMs` 0: once. What is shown stays while the next is on its way, or fails. */
export function useData<T>(tokens: TokenKeeper, path: string, everyMs: number): Data<T> {
  const [data, setData] = useState<Data<T> & { path: string }>({ value: undefined, fault: undefined, path });
  useEffect(() => {
    const leave = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const value = await ask<T>(tokens, path, leave.signal);
          setData({ value, fault: undefined, path });
        } catch (error) {
          if (leave.signal.aborted) return;
          const fault = error instanceof Refused ? error : new Refused(String(error), false);
          setData((old) => ({ value: old.path === path ? old.value : undefined, fault, path }));
          if (fault.signIn) return;
        }
      }
      if (everyMs > 0 && !leave.signal.aborted) timer = setTimeout(() => void look(), everyMs);
    };
    void look();
    return () => {
      leave.abort();
      clearTimeout(timer);
    };
  }, [tokens, path, everyMs]);
  return data.path === path ? data : { value: undefined, fault: undefined };
}
