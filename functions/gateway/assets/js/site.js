// On every page of the shop: keeps a partner's code, and lets the visitor switch tracking off.
import { $ } from './dom.js';
import { ref } from './store.js';

const given = new URLSearchParams(location.search).get('ref');
if (given && given.length <= 64) ref.set(given);

const button = $('#tracking');
if (button && window.lv) {
  const show = () => {
    const on = window.lv.consent();
    button.textContent = on ? 'Turn off visit statistics' : 'Turn on visit statistics';
    button.hidden = navigator.globalPrivacyControl === true;
  };
  button.addEventListener('click', () => {
    window.lv.consent(window.lv.consent() ? 'off' : 'on');
    show();
  });
  show();
}

/** The tracker may be blocked; the shop works without it. */
export const identity = () => window.lv?.identity() ?? {};
