// Which variant of an experiment this visitor sees.
import { allowed } from './consent';
import { id } from './identity';
import { api } from './queue';
import { attempt } from './store';
import { track } from './track';

type Variants = Record<string, string>;

const asked: Record<string, Promise<Variants>> = {};

/** One request of the page for all experiments. Nothing is kept for the next page: an experiment may have been paused. */
const ask = (visitor: string): Promise<Variants> => fetch(`${api}experiments?visitor_id=${visitor}`, { signal: AbortSignal.timeout?.(5e3) })
  .then((answer) => answer.json())
  .then(({ assignments }) => assignments ?? {})
  .catch(() => {
    delete asked[visitor];
    return {};
  });

const exposed = new Set<string>();

export const experiment = async (key: string) => {
  if (!allowed()) return undefined;
  const visitor = id('lv_visitor');
  const variant = (await (asked[visitor] ??= ask(visitor)))[key];
  const mark = `lv_x${visitor}.${key}`;
  if (variant && !exposed.has(mark) && !attempt(() => sessionStorage.getItem(mark))) {
    exposed.add(mark);
    attempt(() => sessionStorage.setItem(mark, variant));
    track('x_exposure', { experiment: key, variant });
  }
  return variant;
};
