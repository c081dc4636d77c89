// The staff page: sign-in, and one view at a time by the address's fragment (#copilot, #orders, #analytics/funnel/30, ...).
import { $, $$, h, notice } from '../dom.js';
import { onEnd, signIn, signOut, signedIn } from './session.js';
import { analytics } from './analytics/index.js';
import { copilot } from './copilot.js';
import { orders } from './orders.js';
import { codes } from './codes.js';
import { products } from './products.js';
import { mails } from './mails.js';
import { alerts } from './alerts.js';
import { jobs } from './jobs.js';

const VIEWS = { copilot, analytics, orders, codes, products, mails, alerts, health: jobs };

const problem = $('#problem');

const showSignIn = (why) => {
  $('#desk').hidden = true;
  $('#view').replaceChildren();
  $('#sign-in').hidden = false;
  if (why) notice(problem, 'bad', h('p', {}, why));
};

const decoded = (part) => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
};

const open = () => {
  if (!signedIn()) return showSignIn();
  const [first, ...rest] = location.hash.slice(1).split('/').map(decoded);
  const name = Object.hasOwn(VIEWS, first) ? first : 'copilot';
  problem.replaceChildren();
  $('#sign-in').hidden = true;
  $('#desk').hidden = false;
  for (const link of $$('.tabs a')) {
    const current = link.hash === `#${name}`;
    if (current) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
    if (current) $('#heading').textContent = link.textContent;
  }
  document.title = `${$('#heading').textContent} · Staff · Lonieve`;
  $('#view').replaceChildren(VIEWS[name](rest));
  return undefined;
};

onEnd(showSignIn);
$('#sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  const token = $('#token').value.trim();
  $('#token').value = '';
  if (!token) return;
  signIn(token);
  open();
  $('#heading').focus();
});
$('#sign-out').addEventListener('click', () => signOut());

// The token comes behind the `#`, is kept in this tab, and leaves the address before anything else happens.
const enter = () => {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) {
    signIn(given);
    history.replaceState(null, '', `${location.pathname}#copilot`);
  }
  open();
};
addEventListener('hashchange', enter);
enter();
