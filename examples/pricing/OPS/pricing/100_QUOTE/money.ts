// What the ops of this scope share: money in cents, so that sums are exact.

export interface Item {
  sku: string;
  quantity: number;
  cents: number;
}

export const sum = (items: Item[]) =>
  items.reduce((total, item) => total + item.quantity * item.cents, 0);
