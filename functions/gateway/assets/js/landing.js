// The landing form: sends the request as JSON and goes to the thank-you page. Without this script the form posts itself.
import { $, busy, h, notice } from './dom.js';
import { post } from './api.js';
import { check, clear, showErrors } from './form.js';
import { lead } from './store.js';
import { identity } from './site.js';

const form = $('#form');

const submit = async () => {
  clear(form);
  $('#problem').replaceChildren();
  const found = check(form);
  // `namedItem` because "name" is also a property of collections.
  const [name, email, phone, source, cards, website, consent] = ['name', 'email', 'phone', 'source', 'cards', 'website', 'consent'].map((id) => form.elements.namedItem(id));
  delete found[consent.name];
  if (!consent.checked) found.consent = 'Please tick this box, so that we may answer you';
  if (Object.keys(found).length) return showErrors(form, found);
  try {
    const answer = await post('/api/leads', {
      name: name.value.trim(), email: email.value.trim(), phone: phone.value.trim() || undefined, source: source.value, utm: identity().utm, website: website.value,
      answers: { cards: cards.value }, consent: { text: consent.value, version: $('#consent-version').value },
    });
    lead.set(answer.receiptId ?? null);
    location.assign('/thank-you');
  } catch (error) {
    const homeless = error.code === 'invalid_request' ? showErrors(form, error.fields) : [];
    if (homeless.length || error.code !== 'invalid_request') notice($('#problem'), 'bad', h('p', {}, error.message, ' ', homeless.join('; ')));
  }
  return undefined;
};

form.addEventListener('submit', (event) => {
  event.preventDefault();
  busy($('button.wide', form), submit);
});
