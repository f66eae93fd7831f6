/** The lines of the charts: the past as the server tells it, and what has come since. */

import { valueAt } from "./chart.js";

/** What the figures of an instant say of each series. @type {Record<string, (k: any) => number | null>} */
const NOW = {
  occupancy: (k) => k.occupancy.value,
  queue: (k) => k.queue.value,
  boxes_in_per_h: (k) => k.boxes_per_h.in,
  boxes_out_per_h: (k) => k.boxes_per_h.out,
  robot_utilisation: (k) => k.robot_utilisation.value,
  lead_time_p50_s: (k) => k.lead_time.p50,
  lead_time_p90_s: (k) => k.lead_time.p90,
  lead_time_p95_s: (k) => k.lead_time.p95,
  over_age_150: (k) => k.over_age.old.meters,
};

/** Points of a line beyond which its older half is thinned out. */
const MOST = 1600;

/** A line out of a series of the server. @returns {import("./chart.js").Line} */
export function lineOf(series) {
  const { t_s, min, max, last, step_s } = series;
  return { t: [...t_s], min: [...min], max: [...max], last: [...last], isSteps: step_s === null };
}

export class History {
  constructor() {
    /** @type {Map<string, import("./chart.js").Line>} */
    this.lines = new Map();
    this.t = -1;
  }

  /** Take over what the server tells of several series. @param {Record<string, any>} points */
  take(points) {
    for (const [name, series] of Object.entries(points)) {
      this.lines.set(name, lineOf(series));
      this.t = Math.max(this.t, series.to_s);
    }
  }

  /** Put the past of one series before what has come since. @param {any} series */
  before(series) {
    const now = this.line(series.name);
    const line = lineOf(series);
    const since = now.t.map((at, k) => (at > series.to_s ? k : -1)).filter((k) => k >= 0);
    for (const part of ["t", "min", "max", "last"]) line[part].push(...since.map((k) => now[part][k]));
    this.lines.set(series.name, line);
  }

  /** Go on with the figures of an instant. @param {any} figures */
  add(figures) {
    if (figures?.t_s === undefined || figures.t_s <= this.t) return;
    this.t = figures.t_s;
    for (const [name, of] of Object.entries(NOW)) {
      if (!this.lines.has(name)) this.lines.set(name, { t: [], min: [], max: [], last: [], isSteps: false });
      const line = this.lines.get(name);
      const value = of(figures);
      line.t.push(this.t);
      for (const values of [line.min, line.max, line.last]) values.push(value);
      if (line.t.length > MOST) thin(line);
    }
  }

  /** A line; an empty one when nothing is known of it. @param {string} name */
  line(name) {
    return this.lines.get(name) ?? { t: [], min: [], max: [], last: [], isSteps: true };
  }

  /** So many points of the last seconds of a line. @param {string} name @param {number} points @param {number} seconds @param {number} to */
  lately(name, points, seconds, to) {
    const line = this.line(name);
    const from = Math.max(0, to - seconds);
    const t = Array.from({ length: points }, (_, k) => from + ((k + 1) / points) * (to - from));
    return { t, last: t.map((at) => valueAt(line, at)) };
  }
}

/** Make one point of two in the older half of a line, with the extremes of both. */
function thin(line) {
  const half = line.t.length >> 1;
  const both = (values, pick) => {
    const kept = [];
    for (let k = 0; k < half; k += 2) kept.push(pick(values[k], values[k + 1]));
    return [...kept, ...values.slice(half + (half % 2))];
  };
  const known = (pick) => (a, b) => (a === null ? b : b === null ? a : pick(a, b));
  line.t = both(line.t, (a) => a);
  line.min = both(line.min, known(Math.min));
  line.max = both(line.max, known(Math.max));
  line.last = both(line.last, (_, b) => b);
}
