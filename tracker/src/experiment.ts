// Which variant of an experiment this visitor sees.
import { allowed } from './consent';
import { id } from './identity';
import { api } from './queue';
import { attempt } from './store';
import { track } from './track';

type Variants = Record<string, string>;

const asked: Record<string, Promise<Variants>> = {};

/** One request for all experiments; the tab keeps its answer, under the visitor's id. */
const ask = async (visitor: string): Promise<Variants> => {
  const kept = attempt(() => sessionStorage.getItem('lv_x' + visitor));
  if (kept) return JSON.parse(kept);
  const answer = await fetch(`${api}experiments?visitor_id=${visitor}`);
  const { assignments } = await answer.json();
  if (assignments) attempt(() => sessionStorage.setItem('lv_x' + visitor, JSON.stringify(assignments)));
  return assignments;
};

const exposed = new Set<string>();

export const experiment = async (key: string) => {
  if (!allowed()) return undefined;
  const visitor = id('lv_visitor');
  const variant = (await (asked[visitor] ??= ask(visitor)).catch(() => undefined))?.[key];
  const mark = `lv_x${visitor}.${key}`;
  if (variant && !exposed.has(mark) && !attempt(() => sessionStorage.getItem(mark))) {
    exposed.add(mark);
    attempt(() => sessionStorage.setItem(mark, variant));
    track('x_exposure', { experiment: key, variant });
  }
  return variant;
};
