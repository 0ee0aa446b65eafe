import { op } from "@compute/op";
const same = (value: any) => value;
class Order {
  @same
  @same total(input: any) {
    return input.order.total;
  }
  accessor state = "new"; @same accessor paid = false;
}
export default op(({ input }) => new Order().total(input));
