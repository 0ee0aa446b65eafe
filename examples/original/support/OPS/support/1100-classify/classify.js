// A plain function is an op, too.
import { z } from "@txco/op/schema";

const Ticket = z.object({ subject: z.string().min(1), priority: z.coerce.number().default("0") }).passthrough();

export default function classify({ input }) {
  const { subject, priority } = Ticket.parse(input);
  return { ticket: { kind: /refund/i.test(subject) ? "refund" : "other", urgent: priority >= 2 } };
}
