// Codes: import from a file or from pasted lines, the verdicts on rows that were not taken, and the stock.
import { busy, h, notice } from '../dom.js';
import { face } from '../money.js';
import { badge, empty, field, fill, input, select, table, words } from './parts.js';
import { call } from './session.js';

const EXAMPLE = 'code,nominal,product_id,cost_price,currency,expires_at\nABCD-EFGH-JKLM-NPQR,50,00000000-0000-4000-8000-000000000101,33.00,USD,2030-12-31';

const verdicts = ({ batchId, imported, skipped, errors = [] }) => [
  h('div', { class: `notice ${imported > 0 ? 'good' : 'bad'}`, role: 'status', tabindex: '-1' },
    h('p', {}, h('strong', {}, `${imported} imported, ${skipped} not.`), batchId && ` Batch ${batchId}.`)),
  errors.length > 0 && table('Rows that were not imported', [
    { name: 'Row', cell: (e) => String(e.row ?? '') },
    { name: 'Ends in', cell: (e) => e.last4 ?? '–' },
    { name: 'Reason', cell: (e) => words(e.reason) },
  ], errors),
].filter(Boolean);

/** A field of a CSV line. */
const quoted = (value) => `"${String(value).replaceAll('"', '""')}"`;

export const codes = () => {
  const result = h('div', { class: 'answers' });
  const stock = h('div');
  const send = (button, body) => busy(button, async () => {
    try {
      result.replaceChildren(...verdicts(await call('POST', '/api/admin/codes/import', { body, type: 'text/csv' })));
      result.firstElementChild.focus();
      loadStock();
      return true;
    } catch (error) {
      const why = Object.values(error.fields).join('; ');
      const partly = error.body?.imported > 0 ? ` ${error.body.imported} codes are in; send the same file again for the rest.` : '';
      notice(result, 'bad', h('p', {}, error.message, why && ` The file ${why}.`, partly));
      return false;
    }
  });

  const file = h('input', { class: 'input', id: 'file', name: 'file', type: 'file', accept: '.csv,text/csv', required: true });
  const upload = h('button', { class: 'button' }, 'Import the file');
  const byFile = h('form', { class: 'panel' }, h('h2', {}, 'Import a file'),
    h('p', { class: 'soft' }, 'CSV with the columns code, nominal, product_id; cost_price, currency and expires_at may follow. At most 10,000 rows.'),
    field('CSV file', file), upload,
    h('details', {}, h('summary', {}, 'Example'), h('pre', { tabindex: '0' }, EXAMPLE)));
  byFile.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (!file.files.length) return;
    if (await send(upload, file.files[0])) byFile.reset();
  });

  const lines = h('textarea', { class: 'input', id: 'lines', name: 'lines', required: true, spellcheck: 'false', autocomplete: 'off' });
  const paste = h('button', { class: 'button' }, 'Import these codes');
  const what = h('div', {});
  const byHand = h('form', { class: 'panel' }, h('h2', {}, 'Paste codes'), what, field('One code per line', lines),
    field('Cost of one', input('cost', { inputmode: 'decimal' }), { optional: true }), paste);
  byHand.addEventListener('submit', async (event) => {
    event.preventDefault();
    const [product, nominal] = (byHand.elements.namedItem('what')?.value ?? '').split('|');
    const found = lines.value.split('\n').map((line) => line.trim()).filter(Boolean);
    if (!product || !found.length) return;
    const cost = byHand.elements.namedItem('cost').value.trim();
    const csv = ['code,nominal,product_id,cost_price', ...found.map((code) => [code, nominal, product, cost].map(quoted).join(','))].join('\n');
    if (await send(paste, csv)) byHand.reset();
  });

  const loadStock = () => fill(stock, async () => {
    const { stock: rows = [] } = await call('GET', '/api/admin/codes');
    what.replaceChildren(field('Card', select('what', rows.map((row) => [`${row.productId}|${row.nominal}`, `${row.productName}, ${face(row.nominal, row.currency)}`]))));
    if (!rows.length) return empty('No stock yet', 'Create a product first, then import codes for it.');
    const number = (name) => ({ name: words(name), kind: 'number', cell: (row) => String(row[name] ?? 0) });
    // Mostly zero, and then no line of a phone's screen is worth it.
    const seldom = (name) => ({ ...number(name), cell: (row) => (row[name] ? String(row[name]) : null) });
    return table('Stock', [
      { name: 'Card', cell: (row) => `${row.productName}, ${face(row.nominal, row.currency)}` },
      number('available'), seldom('expiring'), seldom('reserved'), number('sold'),
      { name: 'State', cell: (row) => (row.offered === false ? badge('not_offered') : row.lowStock ? h('span', { class: 'badge warn' }, row.available ? 'Low' : 'Empty') : badge(row.productStatus ?? 'active')) },
    ], rows);
  });
  loadStock();
  return h('div', { class: 'answers' }, h('div', { class: 'two' }, byFile, byHand), result, stock);
};
