// Errors of a form, at the fields they belong to. The same words come from the page's own check and from the server's `fields`.
import { $, $$, h } from './dom.js';

const label = (input) => input.labels?.[0]?.firstChild?.textContent.trim() ?? 'This field';

/** "is missing" -> "E-mail is missing." */
const sentence = (input, problem) => {
  const text = input.type === 'checkbox' ? problem : `${label(input)} ${problem}`;
  return text.endsWith('.') ? text : `${text}.`;
};

export const clear = (form) => {
  for (const error of $$('.error', form)) error.remove();
  for (const input of $$('[aria-invalid]', form)) {
    input.removeAttribute('aria-invalid');
    const rest = (input.getAttribute('aria-describedby') ?? '').split(' ').filter((id) => id && !id.endsWith('-error')).join(' ');
    if (rest) input.setAttribute('aria-describedby', rest);
    else input.removeAttribute('aria-describedby');
  }
};

/** Shows `{ field: problem }` and moves to the first wrong field. Returns what belongs to no visible field. */
export const showErrors = (form, problems) => {
  clear(form);
  const homeless = [];
  for (const [name, problem] of Object.entries(problems)) {
    const input = form.elements.namedItem(name);
    if (!(input instanceof HTMLElement) || input.type === 'hidden' || !input.getClientRects().length) {
      homeless.push(`${name} ${problem}`);
      continue;
    }
    const id = `${input.id}-error`;
    input.setAttribute('aria-invalid', 'true');
    input.setAttribute('aria-describedby', [id, input.getAttribute('aria-describedby')].filter(Boolean).join(' '));
    input.closest('.field').append(h('p', { class: 'error', id }, sentence(input, problem)));
  }
  $('[aria-invalid]', form)?.focus();
  return homeless;
};

const EMAIL = /^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/;
/** What is obviously wrong before anything is sent; the server decides the rest. */
export const check = (form) => {
  const problems = {};
  for (const input of form.elements) {
    if (!input.name || !input.getClientRects().length) continue;
    const value = input.value.trim();
    if (input.required && !value) problems[input.name] = 'is missing';
    else if (input.type === 'email' && value && !EMAIL.test(value)) problems[input.name] = 'must be an address like name@example.com';
  }
  return problems;
};
