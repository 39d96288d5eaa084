// Which model answers in a session, where the operator allows more than one.

import type { Session } from "agent-websocket";
import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type ChatService, words } from "./service.ts";
import { useObservable } from "./useObservable.ts";

export function ModelPicker({ service, session, live, onTold }: { service: ChatService; session: Session; live: boolean; onTold(text: string): void }): VNode | null {
  const models = useObservable(service.models);
  const [chosen, setChosen] = useState<string>();
  useEffect(() => {
    const { id } = session;
    if (!live || id === null) return;
    service.client.sessions.get(id).then(({ model }) => id === session.id && setChosen(model ?? undefined), () => {});
  }, [service, session, live]);
  if (models === null || models.models.length < 2) return null;
  const choose = async (model: string): Promise<void> => {
    const before = chosen;
    setChosen(model);
    try {
      await session.setModel(model === models.default ? null : model);
    } catch (error) {
      setChosen(before);
      onTold(words(error));
    }
  };
  return (
    <>
      <label class="hidden" for="model">Model</label>
      <select id="model" title="Which model answers here" value={chosen ?? models.default} onChange={(event) => void choose(event.currentTarget.value)}>
        {models.models.map((model) => <option key={model} value={model}>{model}</option>)}
      </select>
    </>
  );
}
