// Charts, drawn by Chart.js (see docs/decisions). A chart is a picture of the table beside it: every number stands there as text, so the
// canvas has a name and needs no keyboard. A click on a bar does what the table's figure does.
import { h } from '../../dom.js';

// Dark enough on paper: at least 4.5 to 1.
export const COLOURS = ['#75590a', '#2f5d8c', '#17643c', '#a1231a', '#6a4a8c', '#5e584c', '#8a4b14', '#14606b'];
export const GAIN = '#17643c';
export const LOSS = '#a1231a';
export const TOTAL = '#75590a';

let library;
/** The library is 70 KB: it comes with the first chart and not before. */
const load = () => {
  library ??= import('/vendor/chart.umd.min.js').then(() => {
    const { Chart } = window;
    const style = getComputedStyle(document.body);
    Chart.defaults.animation = false;
    Chart.defaults.maintainAspectRatio = false;
    Chart.defaults.color = '#5e584c';
    Chart.defaults.borderColor = '#e6e0d3';
    Chart.defaults.font.family = style.fontFamily;
    Chart.defaults.font.size = 13;
    return Chart;
  });
  // The next chart may have more luck with the network.
  library.catch(() => { library = undefined; });
  return library;
};

/**
 * `what` names the chart; `kind` is bar or line; `datasets` are those of Chart.js, of which each gets a colour. `stacked`, `sideways` lay the bars;
 * `format(value)` writes a value at an axis and in a tip; `onpick(index, dataset)` answers a click.
 */
export const chart = (what, { kind = 'bar', labels, datasets, stacked = false, sideways = false, format = String, onpick, size = '' }) => {
  const canvas = h('canvas', { role: 'img', 'aria-label': `${what}. The numbers are in the table.` });
  const figure = h('figure', { class: 'chart' }, h('figcaption', {}, what), h('div', { class: `plot ${size}` }, canvas));
  const value = { stacked, beginAtZero: true, ticks: { callback: (number) => format(number).replace(/\.00$/, ''), maxTicksLimit: 6, maxRotation: 0, autoSkip: true, autoSkipPadding: 16 }, grid: { color: '#ece7db' } };
  const category = { stacked, grid: { display: false }, ticks: { maxRotation: 0, autoSkipPadding: 12, autoSkip: !sideways } };
  const filled = datasets.map((data, index) => ({
    backgroundColor: COLOURS[index % COLOURS.length], borderColor: COLOURS[index % COLOURS.length], borderWidth: kind === 'line' ? 2 : 0, pointRadius: 2, tension: 0, maxBarThickness: 44, ...data,
  }));
  // A view is put on the page after its charts were made.
  load().then((Chart) => new Promise((done) => { requestAnimationFrame(() => done(Chart)); })).then((Chart) => {
    // It may also be gone by now; a chart of what is not on the page would never be freed.
    if (!canvas.isConnected) return;
    const drawn = new Chart(canvas, {
      type: kind,
      data: { labels, datasets: filled },
      options: {
        indexAxis: sideways ? 'y' : 'x',
        interaction: { mode: kind === 'line' ? 'index' : 'nearest', intersect: kind !== 'line' },
        scales: sideways ? { x: value, y: category } : { x: category, y: value },
        plugins: {
          legend: { display: datasets.length > 1, labels: { usePointStyle: true, boxHeight: 8 } },
          tooltip: { callbacks: { label: ({ dataset, raw }) => `${dataset.label}: ${format(Array.isArray(raw) ? raw[1] - raw[0] : raw)}` } },
        },
        onClick: (event, [hit]) => hit && onpick?.(hit.index, hit.datasetIndex),
      },
    });
    const gone = new MutationObserver(() => {
      if (canvas.isConnected) return;
      drawn.destroy();
      gone.disconnect();
    });
    gone.observe(document.querySelector('#view'), { childList: true, subtree: true });
  }, () => figure.append(h('p', { class: 'soft small', role: 'status' }, 'The chart could not be drawn; the table has its numbers.')));
  return figure;
};
