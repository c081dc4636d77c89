// Never run: `tsc` checks that the published types take what the shop sends and refuse what it should not.
const product_id = '00000000-0000-4000-8000-000000000101';

window.lv?.viewCatalog({ filters: { category: 'games' } });
window.lv?.viewProduct({ product_id, brand: 'Nimbus Games', nominal: null });
window.lv?.configuratorChange({ product_id, nominal: '50.00', delivery_type: 'gift', quantity: 2 });
window.lv?.addToCart({ product_id, brand: 'Nimbus Games', nominal: '50.00', price: '37.50', quantity: 2, delivery_type: 'myself' });
window.lv?.paymentReturn({ order_id: product_id, status: 'paid' });
window.lv?.supportOpen();
window.lv?.track('x_gift_opened', { colour: 'red' });
export const variant: Promise<string | undefined> | undefined = window.lv?.experiment('hero');
export const session: string | undefined = window.lv?.identity().sessionId;

// @ts-expect-error the tracker may be blocked
window.lv.flush();
// @ts-expect-error only the server tells of a payment
window.lv?.track('payment_success');
// @ts-expect-error a type of one's own begins with x_
window.lv?.track('gift_opened');
// @ts-expect-error amounts are strings
window.lv?.viewProduct({ product_id, brand: 'Nimbus Games', nominal: 50 });
// @ts-expect-error a choice names its delivery
window.lv?.checkoutStart({ product_id, nominal: '50.00' });
// @ts-expect-error there are two choices
window.lv?.consent('maybe');
