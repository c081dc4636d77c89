// node run.mjs <stack.json> [--shots <folder>] [case ...]
//
// Runs the cases against a running stack, in one Chromium, and prints one line of JSON for each:
// {"case", "status": "passed" | "failed" | "skipped", "ms", "reason"?, "facts"?}. `facts` are what the database is asked about afterwards.
// With `--judged` a case's tabs are closed once a line was read, which says that the database was asked: what a page sent while it went away
// may still be on its way, and ends with the browser's context.
// `--list` prints the names only. Ends with 1 when a case failed.
import { createInterface } from 'node:readline';
import { launch } from './src/browser.mjs';
import { readStack } from './src/stack.mjs';
import { analytics } from './cases/analytics.mjs';
import { attribution } from './cases/attribution.mjs';
import { checkout } from './cases/checkout.mjs';
import { closes } from './cases/closes.mjs';
import { pages } from './cases/pages.mjs';
import { privacy } from './cases/privacy.mjs';
import { refund } from './cases/refund.mjs';
import { staff } from './cases/staff.mjs';
import { tracker } from './cases/tracker.mjs';
import { walk } from './cases/walk.mjs';

const CASES = { ...walk, ...checkout, ...privacy, ...attribution, ...tracker, ...closes, ...staff, ...refund, ...analytics, ...pages };
// The soak test closes more pages than the gate has time for.
const LONGEST = 120_000 + 2000 * Number(process.env.TRACKER_CLOSES ?? 0);

class Skip extends Error {}

const args = process.argv.slice(2);
if (args[0] === '--list') {
  console.log(Object.keys(CASES).join('\n'));
  process.exit(0);
}
const shotsAt = args.indexOf('--shots');
const shots = shotsAt < 0 ? undefined : args.splice(shotsAt, 2)[1];
const judgedAt = args.indexOf('--judged');
if (judgedAt >= 0) args.splice(judgedAt, 1);
const [stackJson, ...wanted] = args;
const verdicts = judgedAt < 0 ? undefined : createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const stack = await readStack(stackJson);
const browser = await launch(stack.shop);

const within = (work, ms) => {
  let timer;
  const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(`not done after ${ms / 1000} s`)), ms); });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
};

let failed = false;
for (const name of wanted.length ? wanted : Object.keys(CASES)) {
  const facts = {};
  const begun = Date.now();
  const skip = (reason) => { throw new Skip(reason); };
  const report = (status, reason) => console.log(JSON.stringify({ case: name, status, ms: Date.now() - begun, reason, facts }));
  try {
    if (!CASES[name]) throw new Error('there is no such case');
    await within(CASES[name]({ browser, stack, shots, facts, skip }), LONGEST);
    report('passed');
  } catch (error) {
    if (error instanceof Skip) {
      report('skipped', error.message);
    } else {
      failed = true;
      report('failed', error.stack ?? String(error));
    }
  }
  await verdicts?.next();
  for (const context of browser.contexts()) await context.close();
}
await browser.close();
process.exit(failed ? 1 : 0);
