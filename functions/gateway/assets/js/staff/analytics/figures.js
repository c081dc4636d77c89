// A figure as the button it becomes where there are rows behind it, and the cards it stands on.
import { h } from '../../dom.js';
import { UNKNOWN } from './format.js';
import { openRows } from './rows.js';

/**
 * A figure that opens its rows: the text, what it is ("Revenue of google"), and the rows' function with its parameters. What is not known has
 * rows too, they show what is missing. Without a function it is plain text.
 */
export const figure = (text, what, name, parameters) => (name
  ? h('button', { class: 'num', type: 'button', 'aria-label': `${text === UNKNOWN ? 'not known' : text}, ${what}: show the rows`, onclick: () => openRows({ title: what, said: text, name, parameters }) }, text)
  : text);

/** A card: a figure with its name. */
export const card = (label, shown, note) => h('div', { class: 'panel card' }, h('h3', {}, label), h('p', { class: 'figure' }, shown), note && h('p', { class: 'soft small' }, note));
