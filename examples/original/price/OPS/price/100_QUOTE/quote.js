import { op } from "@txco/op";
import { hmac } from "@txco/op/crypto";

export default op(({ input, env, secrets }) => {
  const amount = Number(input.amount) * env.factor;
  return { quote: { amount, currency: secrets.CURRENCY.length, signature: hmac(secrets.key, String(amount)) } };
});
