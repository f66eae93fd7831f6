/** Lines of several runs over one another, told apart by colour and by dashes, with what they are where one points. */

import { clock, t } from "./i18n.js";
import { figure } from "./kpiwords.js";
import { make } from "./make.js";
import { node, text } from "./svg.js";

const WIDE = 460, HIGH = 200, LEFT = 46, RIGHT = 10, TOP = 10, BOTTOM = 24;

/**
 * @param {HTMLElement} holder @param {string} title
 * @param {any[]} series as /series tells them, one a run
 * @param {string[]} names of the runs
 * @param {number} until simulated seconds at which the lines end
 */
export function overlay(holder, title, series, names, until) {
  const scale = scaled(series[0].unit);
  const most = Math.max(0, ...series.flatMap((each) => each.max.filter((value) => value !== null))) * scale.by;
  const ticks = steps(most || 1);
  const top = ticks[ticks.length - 1];
  const x = (seconds) => LEFT + ((WIDE - LEFT - RIGHT) * seconds) / Math.max(1, until);
  const y = (value) => HIGH - BOTTOM - ((HIGH - TOP - BOTTOM) * value * scale.by) / top;
  const picture = node("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", class: "overlay" });
  picture.setAttribute("aria-label", `${title}: ${names.map((name, index) => `${name} ${last(series[index])}`).join(", ")}`);
  for (const tick of ticks) {
    const at = y(tick / scale.by);
    picture.append(node("line", { x1: LEFT, x2: WIDE - RIGHT, y1: at, y2: at, class: tick ? "grid" : "zero" }));
    picture.append(text(LEFT - 7, at + 4, short(tick, ticks[1]), "end"));
  }
  for (const day of days(until)) picture.append(text(x(day.at), HIGH - 6, day.text, day.at ? "middle" : ""));
  series.forEach((each, index) => {
    if (each.step_s !== null) picture.append(node("path", { d: band(each, x, y), class: `band b${index}` }));
    picture.append(node("path", { d: path(each, x, y, until), class: `line l${index}` }));
  });
  const cursor = node("line", { y1: TOP, y2: HIGH - BOTTOM, class: "cursor", x1: -9, x2: -9 });
  picture.append(cursor);
  const told = make("span", { class: "told" });
  holder.replaceChildren(make("figcaption", {}, make("b", {}, title), make("small", {}, scale.unit), told), picture);
  const start = series[0].time ? startOf(series[0]) : "2000-01-01T00:00:00";
  const tell = (event) => {
    const box = picture.getBoundingClientRect();
    const seconds = Math.max(0, Math.min(until, (((event.clientX - box.left) / box.width) * WIDE - LEFT) / (WIDE - LEFT - RIGHT) * until));
    cursor.setAttribute("x1", String(x(seconds)));
    cursor.setAttribute("x2", String(x(seconds)));
    const values = names.map((name, index) => `${name} ${figure(valueAt(series[index], seconds), series[index].unit)}`);
    told.textContent = `${clock(seconds, start, false)} · ${values.join(" · ")}`;
  };
  const rest = () => {
    cursor.setAttribute("x1", "-9");
    cursor.setAttribute("x2", "-9");
    told.textContent = names.map((name, index) => `${name} ${last(series[index])}`).join(" · ");
  };
  picture.addEventListener("pointermove", tell);
  picture.addEventListener("pointerleave", rest);
  rest();
}

function last(series) {
  return figure(series.last.findLast((value) => value !== null), series.unit);
}

/** When the run of a series began. */
function startOf(series) {
  return new Date(Date.parse(`${series.time}Z`) - series.now_s * 1000).toISOString();
}

function valueAt(series, seconds) {
  const at = series.t_s.findLastIndex((each) => each <= seconds);
  return at < 0 ? null : series.last[at];
}

function path(series, x, y, until) {
  let found = "";
  let isOpen = false;
  series.t_s.forEach((at, index) => {
    const value = series.last[index];
    if (value === null) {
      isOpen = false;
      return;
    }
    found += isOpen ? `H${x(at).toFixed(1)}V${y(value).toFixed(1)}` : `M${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    isOpen = true;
  });
  return isOpen ? `${found}H${x(until).toFixed(1)}` : found;
}

/** Least to greatest of each bucket. */
function band(series, x, y) {
  const step = series.step_s;
  return series.t_s.map((at, index) => (series.min[index] === null || series.min[index] === series.max[index] ? ""
    : `M${x(at).toFixed(1)} ${y(series.min[index]).toFixed(1)}V${y(series.max[index]).toFixed(1)}H${x(at + step).toFixed(1)}V${y(series.min[index]).toFixed(1)}Z`)).join("");
}

function scaled(unit) {
  if (unit === "share") return { by: 100, unit: "%" };
  if (unit === "s") return { by: 1 / 60, unit: t("more.minutes") };
  return { by: 1, unit: t(`unit.${unit}`) };
}

/** Ticks from zero to at least the greatest value, at round steps. @param {number} most */
function steps(most) {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const found = [];
  for (let index = 0; found.length < 2 || (index - 1) * step < most * 0.999; index += 1) found.push(index * step);
  return found;
}

function short(value, step) {
  return value.toFixed(step >= 1 ? 0 : Math.ceil(-Math.log10(step)));
}

/** Where days, or hours of a short stretch, begin. @param {number} until */
function days(until) {
  const unit = until > 2 * 86400 ? 86400 : 3600;
  const step = Math.max(1, Math.ceil(until / unit / 6));
  const found = [];
  for (let count = 0; count * unit <= until * 0.97; count += step) {
    found.push({ at: count * unit, text: unit === 86400 ? t("more.day", { n: count + 1 }) : `${count} h` });
  }
  return found;
}
