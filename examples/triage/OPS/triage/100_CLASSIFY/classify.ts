// The kind of a ticket and its priority, from the words in it.

import { op } from "@compute/op";

interface Ticket {
  subject: string;
  body: string;
  tier: string;
}

const KINDS: [string, RegExp][] = [
  ["refund", /\b(refund|money back|charged|invoice)\b/],
  ["technical", /\b(error|crash|outage|down|broken|bug)\b/],
  ["spam", /\b(lottery|winner|crypto)\b/],
];

export default op<Ticket>(({ input, env, log }) => {
  const text = `${input.subject}\n${input.body}`.toLowerCase();
  const kind = KINDS.find(([, words]) => words.test(text))?.[0] ?? "other";
  const urgentWords = (env.urgent ?? []) as string[];
  const urgent = urgentWords.some((word) => text.includes(word));
  const priority = (urgent ? 2 : 0) + (input.tier === "gold" ? 1 : 0);
  log.info(`a ${kind} ticket of priority ${priority}`);
  return { ticket: { kind, priority } };
});
