/**
 * Charts over simulated time: lines from zero on, told apart by dashes as well as by colour, with what they are
 * at the pointer. Where a bucket sums up many values, a band shows the least and the greatest of it.
 */

import { clock, fixed, number, span, t } from "./i18n.js";
import { make } from "./make.js";
import { node, text } from "./svg.js";

const LEFT = 46;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 22;
const HIGH = 150;

/**
 * @typedef {{t: number[], min: (number | null)[], max: (number | null)[], last: (number | null)[], isSteps: boolean}} Line
 * @typedef {{name: string, label: string}} Named
 */

/**
 * @param {HTMLElement} host
 * @param {{id: string, title: string, unit: string, lines: Named[], kind: "share" | "count" | "time"}} what
 * @param {(() => void) | null} opened what a click does
 */
export function chart(host, what, opened = null) {
  const read = make("div", { class: "read" });
  const picture = node("svg", { role: "img" });
  const box = make("figure", { class: `panel chart${opened ? " clicks" : ""}`, id: `chart-${what.id}` }, make("h3", {}, what.title), read, picture);
  host.append(box);
  /** @type {Line[]} */
  let lines = [];
  let from = 0;
  let to = 1;
  let start = "";
  let here = null;
  let pointed = null;

  const place = { x: () => 0, time: () => 0 };

  function draw() {
    if (!start) return;
    const wide = Math.max(160, picture.clientWidth || 300);
    const room = wide - LEFT - RIGHT;
    place.x = (seconds) => LEFT + ((seconds - from) / Math.max(1e-9, to - from)) * room;
    place.time = (x) => from + ((x - LEFT) / room) * (to - from);
    const values = lines.flatMap((line) => line.max.filter((value, k) => value !== null && line.t[k] <= to && (line.t[k + 1] ?? Infinity) >= from));
    const factor = what.kind === "share" ? 100 : what.kind === "time" ? 1 / 60 : 1;
    const ticks = steps(what.kind === "share" ? 100 : Math.max(...values, 0) * factor);
    const top = ticks[ticks.length - 1];
    const y = (value) => HIGH - BOTTOM - ((value * factor) / top) * (HIGH - TOP - BOTTOM);
    picture.setAttribute("viewBox", `0 0 ${wide} ${HIGH}`);
    picture.replaceChildren();
    for (const tick of ticks) {
      const at = y(tick / factor);
      picture.append(node("line", { class: tick ? "axis" : "zero", x1: LEFT, x2: wide - RIGHT, y1: at, y2: at }));
      const label = text(LEFT - 7, at + 4, fixed(tick, decimals(ticks[1])));
      label.setAttribute("text-anchor", "end");
      picture.append(label);
    }
    for (const [seconds, words] of hours(from, to, start, room)) {
      const label = text(place.x(seconds), HIGH - 5, words);
      label.setAttribute("text-anchor", "middle");
      picture.append(node("line", { class: "axis", x1: place.x(seconds), x2: place.x(seconds), y1: HIGH - BOTTOM, y2: HIGH - BOTTOM + 4 }), label);
    }
    lines.forEach((line, k) => {
      const cut = within(line, from, to);
      if (!line.isSteps && cut.t.length > 1) picture.append(node("path", { class: `band b${k}`, d: band(cut, place.x, y) }));
      picture.append(node("path", { class: `line l${k}`, d: path(cut, place.x, y, to) }));
    });
    if (here !== null && here >= from && here <= to) picture.append(node("line", { class: "here", x1: place.x(here), x2: place.x(here), y1: TOP, y2: HIGH - BOTTOM }));
    tell();
  }

  /** What the lines are at the pointer, or at their end. */
  function tell() {
    picture.querySelector(".cross")?.remove();
    const at = pointed ?? here ?? to;
    if (pointed !== null) picture.append(node("line", { class: "cross", x1: place.x(at), x2: place.x(at), y1: TOP, y2: HIGH - BOTTOM }));
    const told = what.lines.map(({ label }, k) => {
      const value = lines[k] ? valueAt(lines[k], at) : null;
      return { label, words: shown(value) };
    });
    const time = start ? clock(at, start, false) : "";
    read.replaceChildren(time, " ", ...told.flatMap(({ label, words }, k) => [
      make("span", { class: "keyline" }, what.lines.length > 1 && sample(k), label, make("b", {}, words)),
    ]));
    picture.setAttribute("aria-label", `${what.title}, ${time}: ${told.map(({ label, words }) => `${label} ${words}`).join(", ")}`);
  }

  function shown(value) {
    if (value === null) return "–";
    if (what.kind === "share") return `${fixed(100 * value, 1)} %`;
    return what.kind === "time" ? span(value) : `${number(value, value < 10 ? 1 : 0)} ${what.unit}`.trim();
  }

  const point = (event) => {
    const bounds = picture.getBoundingClientRect();
    pointed = Math.min(to, Math.max(from, place.time(event.clientX - bounds.left)));
    tell();
  };
  picture.addEventListener("pointermove", point);
  picture.addEventListener("pointerleave", () => {
    pointed = null;
    tell();
  });
  if (opened) {
    picture.addEventListener("click", opened);
    box.querySelector("h3").replaceChildren(make("button", { class: "plain", type: "button" }, what.title));
    box.querySelector("button").addEventListener("click", opened);
  }
  new ResizeObserver(draw).observe(picture);

  return {
    box,
    /** Draw lines over a stretch of time. @param {Line[]} given @param {number} a @param {number} b @param {string} begin @param {number | null} now */
    update(given, a, b, begin, now = null) {
      [lines, from, to, start, here] = [given, a, Math.max(b, a + 1), begin, now];
      draw();
    },
  };
}

function sample(k) {
  return node("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" }, node("path", { class: `line l${k}`, d: "M0 4H22" }));
}

/** Values in equal steps from zero to no less than the greatest one. */
function steps(most) {
  if (!(most > 0)) return [0, 1];
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, k) => k * step);
}

/** Decimals that a step needs. */
function decimals(step) {
  return step % 1 === 0 ? 0 : (step * 10) % 1 === 0 ? 1 : 2;
}

/** Instants to write under the axis: whole hours or days of local time. */
function hours(from, to, start, room) {
  const most = Math.max(2, Math.floor(room / 76));
  const begin = start ? (Date.parse(`${start.slice(0, 19)}Z`) / 1000) % 86400 : 0;
  const sizes = [60, 300, 600, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 432000, 864000, 2592000, 8640000, 31536000];
  const size = sizes.find((each) => (to - from) / each <= most) ?? sizes[sizes.length - 1];
  const found = [];
  for (let at = Math.ceil((from + begin) / size) * size - begin; at <= to; at += size) {
    if (at >= from) found.push([at, size >= 86400 ? clock(at, start).split(" ")[0] : clock(at, start, false).split(" ")[1]]);
  }
  return found.filter(([at]) => (at - from) / (to - from) > 0.04 && (at - from) / (to - from) < 0.97);
}

/** The part of a line that lies in a stretch, with the value that holds when it begins. */
function within(line, from, to) {
  let first = line.t.findIndex((time) => time > from) - 1;
  if (first < -1) first = line.t.length - 1;
  first = Math.max(0, first);
  let last = line.t.findIndex((time) => time > to);
  if (last < 0) last = line.t.length;
  const cut = (values) => values.slice(first, last);
  const t = cut(line.t);
  if (t.length && t[0] < from) t[0] = from;
  return { t, min: cut(line.min), max: cut(line.max), last: cut(line.last), isSteps: line.isSteps };
}

function path(line, x, y, to) {
  let isOpen = false;
  let before = 0;
  let words = "";
  line.last.forEach((value, k) => {
    if (value === null) {
      isOpen = false;
      return;
    }
    const [atX, atY] = [x(line.t[k]).toFixed(1), y(value).toFixed(1)];
    words += isOpen ? (line.isSteps ? `H${atX}V${atY}` : `L${atX} ${atY}`) : `M${atX} ${atY}`;
    isOpen = true;
    before = k;
  });
  return isOpen && before === line.last.length - 1 ? `${words}H${x(to).toFixed(1)}` : words;
}

function band(line, x, y) {
  const stretches = [];
  line.t.forEach((_, k) => {
    if (line.max[k] === null || line.min[k] === null) stretches.push([]);
    else (stretches[stretches.length - 1] ?? (stretches[0] = [])).push(k);
  });
  const corner = (k, value) => `${x(line.t[k]).toFixed(1)} ${y(value).toFixed(1)}`;
  return stretches.filter((stretch) => stretch.length > 1)
    .map((stretch) => `M${[...stretch.map((k) => corner(k, line.max[k])), ...stretch.reverse().map((k) => corner(k, line.min[k]))].join("L")}Z`).join("");
}

/** The value of a line at a time. @param {Line} line @param {number} at */
export function valueAt(line, at) {
  let low = 0;
  let high = line.t.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (line.t[middle] <= at) low = middle + 1;
    else high = middle;
  }
  return low ? line.last[low - 1] : null;
}

const FILLS = { idle: "--none", move: "--s3", handle: "--s5", charge: "--k2", wait: "--warn-fill", fault: "--bad-fill" };

/**
 * What each robot did, as a bar over time.
 * @param {HTMLElement} host
 * @param {any} told the series `robot_states`
 */
export function stateBars(host, told, start) {
  const style = getComputedStyle(document.documentElement);
  const { from_s: from, to_s: to } = told;
  host.replaceChildren(make("p", { class: "legend" }, ...told.states.flatMap((state) => {
    const patch = make("i");
    patch.style.background = `var(${FILLS[state]})`;
    return [patch, make("span", {}, t(`state.${state}`))];
  }), make("span", { class: "grow" }), make("span", { class: "muted" }, `${clock(from, start, false)} – ${clock(to, start, false)}`)));
  const rows = make("div", { class: "states" });
  host.append(rows);
  for (const robot of told.robots) {
    const canvas = make("canvas", { width: 1200, height: 18, role: "img" });
    rows.append(make("span", { class: "mono" }, `R${robot.robot + 1}`), canvas);
    const pen = canvas.getContext("2d");
    const x = (seconds) => ((seconds - from) / Math.max(1e-9, to - from)) * canvas.width;
    const spent = Object.fromEntries(told.states.map((state) => [state, 0]));
    robot.t_s.forEach((begin, k) => {
      const end = robot.t_s[k + 1] ?? to;
      const shares = robot.share ? told.states.map((state) => [state, robot.share[state][k]]) : [[robot.state[k], 1]];
      let top = canvas.height;
      for (const [state, share] of shares) {
        spent[state] += share * (end - begin);
        pen.fillStyle = style.getPropertyValue(FILLS[state]).trim();
        pen.fillRect(x(begin), top - share * canvas.height, Math.max(1, x(end) - x(begin) + 0.5), share * canvas.height);
        top -= share * canvas.height;
      }
    });
    const words = told.states.filter((state) => spent[state] > 0).map((state) => `${t(`state.${state}`)} ${number((100 * spent[state]) / Math.max(1e-9, to - from))} %`);
    canvas.setAttribute("aria-label", `R${robot.robot + 1}: ${words.join(", ")}`);
    canvas.title = words.join(", ");
  }
}
