// Amounts are strings such as "37.50" everywhere; they are counted in whole cents and never as fractions.

export const cents = (amount) => {
  const [whole, part = ''] = String(amount).split('.');
  return Number(whole) * 100 + Number(part.padEnd(2, '0').slice(0, 2));
};
export const amount = (cents) => `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
export const times = (price, count) => amount(cents(price) * count);

/** "$37.50". */
export const money = (value, currency = 'USD') => {
  try {
    return new Intl.NumberFormat('en', { style: 'currency', currency }).format(value);
  } catch {
    return `${value} ${currency}`;
  }
};
/** Face values read better without empty cents: "$50". */
export const face = (value, currency) => money(value, currency).replace(/\.00$/, '');

export const dateTime = (text) => {
  const date = new Date(text);
  return Number.isNaN(date.valueOf()) ? '' : new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' }).format(date);
};
