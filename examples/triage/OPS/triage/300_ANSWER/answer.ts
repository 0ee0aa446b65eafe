// A first answer to a ticket.

import { op } from "@compute/op";

const ABOUT: Record<string, string> = {
  refund: "your payment",
  technical: "the problem",
};

interface Routed {
  name: string;
  kind: string;
  hours: number;
}

export default op<Routed>(({ input }) => {
  const when = input.hours === 1 ? "within the hour" : `within ${input.hours} hours`;
  const about = ABOUT[input.kind] ?? "your message";
  return { answer: `Hello ${input.name}, we are looking into ${about} and will write back ${when}.` };
});
