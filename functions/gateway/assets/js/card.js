// Draws a gift card: tone and motif follow from the product, so a product always looks the same.
import { h, svg } from './dom.js';

const TONES = 6;
const range = (count) => [...Array(count).keys()];
const path = (d) => svg('path', { d });

const MOTIFS = [
  () => range(9).map((i) => svg('circle', { cx: 290, cy: 190, r: 30 + i * 26 })),
  () => range(13).map((i) => path(`M320 0 L${-60 + i * 36} ${60 + i * 16}`)),
  () => range(8).map((i) => path(`M-10 ${70 + i * 18} C60 ${20 + i * 18} 110 ${120 + i * 18} 170 ${70 + i * 18} S280 ${20 + i * 18} 340 ${80 + i * 18}`)),
  () => range(16).flatMap((i) => [path(`M${i * 34 - 120} 210 L${i * 34} -10`), path(`M${i * 34 - 120} -10 L${i * 34} 210`)]),
  () => range(7).map((i) => svg('ellipse', { cx: 230, cy: 70, rx: 150, ry: 52, transform: `rotate(${i * 26} 230 70)` })),
  () => range(7).map((i) => svg('rect', { x: 150 + i * 16, y: -70 + i * 16, width: 240 - i * 32, height: 240 - i * 32, transform: 'rotate(45 270 50)' })),
];

/** A small stable hash of a text. */
const hash = (text) => [...text].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7);

/** The card of a product; `value` is the face value printed on it, if one is chosen. It is a picture: names stand beside it in text. */
export const giftCard = ({ id = '', brand = '', region = '', imageUrl } = {}, value = '') => {
  // The last digit of the id decides where there is one: products made one after the other then look different side by side.
  const tone = (parseInt(id.slice(-1), 16) || hash(brand)) % TONES;
  const motif = svg('svg', { class: 'motif', viewBox: '0 0 320 200', preserveAspectRatio: 'xMidYMid slice' }, MOTIFS[tone % MOTIFS.length]());
  const picture = imageUrl ? h('img', { src: imageUrl, alt: '', loading: 'lazy' }) : motif;
  return h('div', { class: `gift tone-${tone}`, 'aria-hidden': 'true' }, picture,
    h('div', { class: 'text' },
      h('div', { class: 'brandname' }, brand),
      h('div', { class: 'foot-line' }, h('span', { class: 'region' }, region), h('span', { class: 'value' }, value))));
};
