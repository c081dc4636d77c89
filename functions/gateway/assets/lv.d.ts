// Types of the tracker /lv.js. In a TypeScript project of the shop: /// <reference path="lv.d.ts" />
// The tracker may be blocked in a browser, hence `window.lv?.`. Amounts are strings, as in the API: "37.50".

declare namespace Lv {
  interface Utm {
    utm_source?: string;
    utm_medium?: string;
    utm_campaign?: string;
    utm_content?: string;
    utm_term?: string;
  }

  /** For orders and forms; empty when nothing may be kept. */
  interface Identity {
    sessionId?: string;
    visitorId?: string;
    utm?: Utm;
  }

  /** Anything JSON can hold, at most 8 KB and 8 levels deep. */
  type Data = Record<string, unknown>;
  type DeliveryType = 'myself' | 'gift';

  interface Product extends Data {
    product_id: string;
    brand: string;
    /** Face value; null when the product is sold out. */
    nominal: string | null;
  }

  interface Choice extends Data {
    product_id: string;
    nominal: string;
    delivery_type: DeliveryType;
    quantity?: number;
  }

  interface Added extends Choice {
    brand: string;
    /** Of one unit. */
    price: string;
    quantity: number;
  }

  interface Return extends Data {
    order_id: string;
    status: string;
  }

  type StandardType =
    | 'page_view' | 'view_catalog' | 'view_product' | 'configurator_open' | 'configurator_change' | 'add_to_cart' | 'checkout_start'
    | 'checkout_submit' | 'payment_return' | 'support_open' | 'support_request' | 'resend_email_request' | 'account_login';

  interface Tracker {
    /** One event: a standard one, or `x_` and up to 40 of a-z, 0-9 and `_`. */
    track(type: StandardType | `x_${string}`, data?: Data): void;
    viewCatalog(data: { filters: Data }): void;
    viewProduct(data: Product): void;
    configuratorOpen(data: Data & { product_id: string }): void;
    configuratorChange(data: Choice): void;
    addToCart(data: Added): void;
    checkoutStart(data: Choice): void;
    checkoutSubmit(data: Choice): void;
    paymentReturn(data: Return): void;
    supportOpen(data?: Data): void;
    supportRequest(data?: Data): void;
    resendEmailRequest(data?: Data): void;
    accountLogin(data?: Data): void;

    /** Sends what waits, unless the server asked for a pause. */
    flush(): void;
    identity(): Identity;
    /** Keeps the visitor's choice, if one is given; whether events are kept and sent. `off` forgets everything that was kept. */
    consent(choice?: 'on' | 'off'): boolean;
    /** The visitor's variant of an experiment; undefined when there is none, or nothing may be kept. Tells `x_exposure` once a tab. */
    experiment(key: string): Promise<string | undefined>;
  }
}

interface Window {
  lv?: Lv.Tracker;
}
