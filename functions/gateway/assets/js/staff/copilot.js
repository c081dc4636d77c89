// Questions about the shop in plain words. Every number shown is a cell of the answer; nothing is computed here.
import { busy, h, notice } from '../dom.js';
import { call } from './session.js';
import { dateTime, money } from '../money.js';
import { field, input, table, words } from './parts.js';

const EXAMPLES = ['Revenue today', 'Revenue for the last 7 days', 'Profit this week', 'Top 10 products', 'Best customers', 'Top channels this month', 'Open alerts', 'Unit economics this month'];
let conversationId;

const period = (value) => {
  if (!value || typeof value === 'string') return value ?? '';
  const { from, to } = value;
  return from && to && from !== to ? `${from} to ${to}` : from ?? value.label ?? '';
};

const NUMBERS = ['count', 'money', 'percent', 'ratio', 'unit'];

/** A cell as its column says; amounts stay the strings they are. */
const cell = (value, kind, currency) => {
  if (value === null || value === undefined) return '–';
  if (kind === 'money' && currency) return money(value, currency);
  if (kind === 'time') return dateTime(value);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
};

/** Columns are named by the answer; without names they are the members of the first row. */
const rowsOf = ({ rows, columns, currency }) => table(null, (columns ?? Object.keys(rows[0]).map((key) => ({ key, label: words(key), kind: 'text' }))).map(({ key, label, kind }) => ({
  name: label ?? words(key),
  kind: NUMBERS.includes(kind) ? 'number' : undefined,
  // The kind `unit` differs from row to row.
  cell: (row) => cell(row[key], kind === 'unit' ? row.unit : kind, currency),
})), rows);

const card = (answer, ask) => {
  const { query, result = {}, responseTime, plan, evidence } = answer;
  const { type, metric, formatted, notes = [], rows = [], suggestions = [] } = result;
  const how = Object.entries({ plan, evidence }).filter(([, value]) => value !== undefined && value !== null);
  return h('article', { class: 'panel answer' },
    h('p', { class: 'soft' }, query),
    metric && h('h2', {}, words(metric)),
    period(result.period) && h('p', { class: 'soft small' }, period(result.period)),
    formatted && formatted !== metric && h('p', { class: type === 'metric' ? 'figure' : 'said' }, formatted),
    rows.length > 0 ? rowsOf(result) : type === 'table' && h('p', { class: 'said' }, 'Nothing in this period.'),
    notes.length > 0 && h('p', { class: 'soft small' }, notes.join(' ')),
    suggestions.length > 0 && examples(suggestions, ask),
    how.length > 0 && h('details', {}, h('summary', {}, 'How this was answered', responseTime !== undefined && ` (${responseTime} ms)`),
      how.map(([name, value]) => h('div', {}, h('p', { class: 'small soft' }, words(name)), h('pre', { tabindex: '0' }, typeof value === 'string' ? value : JSON.stringify(value, null, 2))))));
};

const examples = (questions, ask) => h('div', { class: 'examples', role: 'group', 'aria-label': 'Examples' }, questions.map((question) =>
  h('button', { type: 'button', onclick: () => ask(question) }, question)));

export const copilot = () => {
  const query = input('query', { maxlength: 500, required: true, placeholder: 'Revenue for the last 7 days' });
  const button = h('button', { class: 'button' }, 'Ask');
  const answers = h('div', { class: 'answers', role: 'log', 'aria-label': 'Answers' });
  const problem = h('div');
  const ask = (question) => busy(button, async () => {
    problem.replaceChildren();
    try {
      const answer = await call('POST', '/api/ai/copilot', { body: { query: question, conversationId, locale: document.documentElement.lang } });
      ({ conversationId } = answer);
      answers.prepend(card({ query: question, ...answer }, ask));
      query.value = '';
    } catch (error) {
      notice(problem, 'bad', h('p', {}, error.message));
    }
  });
  const form = h('form', { class: 'panel' },
    h('div', { class: 'ask' }, field('Ask about the shop', query), button),
    examples(EXAMPLES, ask),
    problem);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (query.value.trim()) ask(query.value.trim());
  });
  return h('div', { class: 'answers' }, form, answers);
};
