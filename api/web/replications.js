/**
 * Runs that differ in nothing but their seed, as one column: what many of them say of a figure, and how sure that
 * is. Intervals are of 95 %, by Student's t; a single run has none.
 */

/** @typedef {{runs: any[], name: string}} Column */

/** Columns of runs: those of one scenario that were left alone are one, if their seeds differ. @param {any[]} runs @returns {Column[]} */
export function columnsOf(runs) {
  /** @type {any[][]} */
  const found = [];
  for (const run of runs) {
    const own = found.find((column) => isSame(column[0], run) && column.every((each) => each.seed !== run.seed));
    if (own) own.push(run);
    else found.push([run]);
  }
  return found.map((column) => ({ runs: column, name: column.length > 2 ? `${column[0].id} … ${column[column.length - 1].id}` : column.map((run) => run.id).join(", ") }));
}

/** Whether runs are of one scenario to the same end, neither branched nor steered. */
function isSame(a, b) {
  return a.scenario.id === b.scenario.id && a.model_version === b.model_version && [a, b].every((run) => run.parent === null && run.mode === "batch" && run.state === "finished");
}

/**
 * Mean and, of two values or more, the ends of its interval, cut to what is possible.
 * @param {(number | null | undefined)[]} values @param {number} [least] @param {number} [most]
 */
export function interval(values, least = -Infinity, most = Infinity) {
  const known = values.filter((value) => typeof value === "number");
  const n = known.length;
  if (!n) return null;
  const mean = known.reduce((sum, value) => sum + value, 0) / n;
  if (n === 1) return { n, mean };
  const spread = Math.sqrt(known.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1));
  const half = (student(n - 1) * spread) / Math.sqrt(n);
  return { n, mean, low: Math.max(least, mean - half), high: Math.min(most, mean + half) };
}

/** Whether two intervals have a value in common; what has no interval says nothing about that. */
export function overlaps(a, b) {
  return a.low !== undefined && b.low !== undefined && a.mean !== b.mean && a.low <= b.high && b.low <= a.high;
}

/**
 * The interval of the mean difference of two columns whose seeds are the same, pair by pair; null for others.
 * @param {Column} first @param {Column} other @param {(run: any) => number | null | undefined} valueOf
 */
export function pairedGap(first, other, valueOf) {
  const pairs = other.runs.map((run) => [first.runs.find((each) => each.seed === run.seed), run]);
  if (pairs.length < 2 || first.runs.length !== pairs.length || pairs.some(([a]) => !a)) return null;
  const values = pairs.map(([a, b]) => [valueOf(a), valueOf(b)]);
  return values.flat().every((value) => typeof value === "number") ? interval(values.map(([a, b]) => b - a)) : null;
}

/**
 * The 97.5 % quantile of Student's t: exact for one and two degrees of freedom, else by Hill 1970 (Algorithm 396),
 * right to four digits. @param {number} freedom
 */
export function student(freedom) {
  const p = 0.05;
  if (freedom === 1) return 1 / Math.tan((p * Math.PI) / 2);
  if (freedom === 2) return Math.sqrt(2 / (p * (2 - p)) - 2);
  const a = 1 / (freedom - 0.5);
  const b = 48 / a ** 2;
  let c = ((20700 * a) / b - 98) * a - 16;
  c = c * a + 96.36;
  const d = ((94.5 / (b + c) - 3) / b + 1) * Math.sqrt((a * Math.PI) / 2) * freedom;
  let y = (d * p) ** (2 / freedom);
  if (y > 0.05 + a) {
    const x = -1.959963984540054;
    y = x * x;
    if (freedom < 5) c += 0.3 * (freedom - 4.5) * (x + 0.6);
    c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b;
    y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x;
    y = Math.expm1(a * y * y);
  } else {
    y = ((1 / (((freedom + 6) / (freedom * y) - 0.089 * d - 0.822) * (freedom + 2) * 3) + 0.5 / (freedom + 4)) * y - 1) * ((freedom + 1) / (freedom + 2)) + 1 / y;
  }
  return Math.sqrt(freedom * y);
}
