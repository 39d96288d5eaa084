// The order in which a person reads a conversation: each answer under its question, also where a question was asked before
// the answer to an earlier one had ended and so stands before it in the log. Pure.

import type { Message } from "agent-websocket";

export function arranged(messages: readonly Message[]): Message[] {
  const questions = new Set(messages.flatMap(({ role, id }) => (role === "user" && id !== null ? [id] : [])));
  const answers = new Map<string, Message[]>();
  const rest: Message[] = [];
  for (const message of messages) {
    const question = message.role === "assistant" ? message.inReplyTo : undefined;
    // A question that is not loaded has its answer where the log has it.
    if (question === undefined || !questions.has(question)) rest.push(message);
    else answers.set(question, [...(answers.get(question) ?? []), message]);
  }
  return rest.flatMap((message) => [message, ...(answers.get(message.id ?? "") ?? [])]);
}
