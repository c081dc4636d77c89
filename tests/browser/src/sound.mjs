// What must hold for every page in every state: no problem in the console, nothing wider than the screen, a label on every field, and
// the rules of axe-core (WCAG 2.2 A and AA with contrast, and its best practices).
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { sound } from './browser.mjs';

export const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

export const inspect = async (page, name, { shots, expected = [] } = {}) => {
  const { width } = page.viewportSize();
  const state = `${name} at ${width} px`;
  await page.evaluate(() => document.fonts.ready);
  if (shots) await page.screenshot({ path: join(shots, `${name}-${width}.png`), fullPage: true });
  const found = await page.evaluate(async (rules) => {
    const named = (field) => field.labels?.length || field.getAttribute('aria-label') || field.getAttribute('aria-labelledby');
    const fields = [...document.querySelectorAll('input:not([type=hidden]), select, textarea')];
    const { violations } = await window.axe.run(document, { runOnly: rules });
    return {
      wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      unnamed: fields.filter((field) => !named(field)).map((field) => field.outerHTML),
      violations: violations.map(({ id, help, nodes }) => `${id} (${help}): ${nodes.map((node) => node.html).slice(0, 3).join(' | ')}`),
      styles: document.styleSheets.length,
    };
  }, RULES);
  const problems = [...found.violations, ...found.unnamed.map((field) => `no label: ${field}`)];
  if (found.wide > 0) problems.push(`${found.wide} px wider than the screen`);
  if (found.styles === 0) problems.push('no style sheet was loaded');
  if (problems.length) throw new Error(`${state}:\n${problems.join('\n')}`);
  try {
    sound(page, ...expected);
  } catch (error) {
    throw new Error(`${state}: ${error.message}`);
  }
  page.problems.length = 0;
};
