// Questions about the shop in plain words. Every number shown is a cell of the answer; nothing is computed here.
import { busy, h, notice } from '../dom.js';
import { call } from './session.js';
import { field, input, table, words } from './parts.js';

const EXAMPLES = ['Revenue today', 'Revenue for the last 7 days', 'Profit this week', 'Top 10 products', 'Best customers', 'Top channels this month', 'Open alerts', 'Unit economics this month'];
let conversationId;

const text = (value) => (value === null || value === undefined ? '–' : typeof value === 'object' ? JSON.stringify(value) : String(value));
const isNumber = (value) => typeof value === 'number' || /^-?\d+(\.\d+)?$/.test(value ?? '');

const period = (value) => {
  if (!value || typeof value === 'string') return value ?? '';
  const { from, to } = value;
  if (!from) return value.label ?? '';
  return from === to || !to ? from : `${from} to ${to}`;
};

const rowsOf = (rows) => {
  const columns = Object.keys(rows[0]).map((name) => ({ name: words(name), kind: isNumber(rows[0][name]) ? 'number' : undefined, cell: (row) => text(row[name]) }));
  if (rows.length > 1) return table(null, columns, rows);
  return h('dl', { class: 'pairs' }, columns.map(({ name, cell }) => h('div', {}, h('dt', {}, name), h('dd', {}, cell(rows[0])))));
};

const card = (answer) => {
  const { query, intent, result = {}, responseTime, plan, evidence } = answer;
  const rows = Array.isArray(result.rows) ? result.rows : Array.isArray(result.value) ? result.value : [];
  const said = result.formatted ?? (Array.isArray(result.value) ? '' : text(result.value));
  const isFigure = intent !== 'unknown' && said.length <= 24;
  const how = Object.entries({ plan, evidence }).filter(([, value]) => value !== undefined && value !== null);
  return h('article', { class: 'panel answer' },
    h('p', { class: 'soft' }, query),
    result.metric && h('h2', {}, words(result.metric)),
    period(result.period) && h('p', { class: 'soft small' }, period(result.period)),
    said && h('p', { class: isFigure ? 'figure' : 'said' }, said),
    rows.length > 0 && rowsOf(rows),
    how.length > 0 && h('details', {}, h('summary', {}, 'How this was answered', responseTime !== undefined && ` (${responseTime} ms)`),
      how.map(([name, value]) => h('div', {}, h('p', { class: 'small soft' }, words(name)), h('pre', { tabindex: '0' }, typeof value === 'string' ? value : JSON.stringify(value, null, 2))))));
};

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
      answers.prepend(card({ query: question, ...answer }));
      query.value = '';
    } catch (error) {
      notice(problem, 'bad', h('p', {}, error.message));
    }
  });
  const form = h('form', { class: 'panel' },
    h('div', { class: 'ask' }, field('Ask about the shop', query), button),
    h('div', { class: 'examples', role: 'group', 'aria-label': 'Examples' }, EXAMPLES.map((example) =>
      h('button', { type: 'button', onclick: () => { query.value = example; ask(example); } }, example))),
    problem);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (query.value.trim()) ask(query.value.trim());
  });
  return h('div', { class: 'answers' }, form, answers);
};
