/** The seven figures beside the racks: value, unit, what belongs to it, and its line of late. */

import { fixed, number, span, t } from "./i18n.js";
import { make } from "./make.js";
import { node } from "./svg.js";

const WIDE = 120;
const HIGH = 20;

/**
 * Each card: the series of its line, its big words and small words out of the figures of an instant.
 * @type {Record<string, {lines: string[], told: (k: any) => {value: string, unit: string, notes: (string | Node)[], state: string}}>}
 */
const CARDS = {
  occupancy: {
    lines: ["occupancy"],
    told: ({ occupancy: k }) => ({
      value: percent(k.value), unit: "%", state: k.state,
      notes: k.meters === null ? [] : [t("card.meters", { meters: number(k.meters), capacity: number(k.meters_capacity) })],
    }),
  },
  queue: {
    lines: ["queue"],
    told: ({ queue: k }) => ({
      value: number(k.value), unit: t("unit.tasks"), state: k.state,
      notes: [k.oldest_s === null ? t("card.nothing_waits") : make("b", {}, t("card.oldest", { age: span(k.oldest_s) }))],
    }),
  },
  boxes_per_h: {
    lines: ["boxes_in_per_h", "boxes_out_per_h"],
    told: ({ boxes_per_h: k }) => ({
      value: number(k.in + k.out), unit: t("unit.boxes/h"), state: k.state, notes: [t("card.in_out", { in: number(k.in), out: number(k.out) })],
    }),
  },
  robot_utilisation: {
    lines: ["robot_utilisation"],
    told: ({ robot_utilisation: k }) => ({
      value: k.value === null ? "–" : percent(k.value), unit: k.value === null ? "" : "%", state: k.state,
      notes: [k.robots === 1 ? t("card.one_robot") : t("card.robots", { robots: number(k.robots) })],
    }),
  },
  lead_time: {
    lines: ["lead_time_p95_s"],
    told: ({ lead_time: k }) => ({
      value: k.p95 === null ? "–" : minutes(k.p95), unit: k.p95 === null ? "" : t("unit.min"), state: k.state,
      notes: [
        k.p95 === null ? t("card.no_orders") : t("card.p50_p90", { p50: minutes(k.p50), p90: minutes(k.p90) }),
        ...(k.late_open ? [" · ", make("b", {}, t("card.late_open", { late: number(k.late_open) }))] : []),
      ],
    }),
  },
  over_age: {
    lines: ["over_age_150"],
    told: ({ over_age: k }) => ({
      value: number(k.value), unit: t("unit.meters"), state: k.state,
      notes: [make("b", {}, t("card.over_age.note", { old: k.old.days, meters: number(k.old.meters), too: k.too_old.days, more: number(k.too_old.meters) }))],
    }),
  },
  alerts: {
    lines: [],
    told: ({ alerts: k }) => ({
      value: k.value === null ? "–" : number(k.value), unit: "", state: k.state,
      notes: [k.value === null ? t("card.not_then") : k.value ? make("b", {}, t("card.red_yellow", { red: number(k.red), yellow: number(k.yellow) })) : t("card.all_in_order")],
    }),
  },
};

/** Names of all series that lines are drawn of. */
export const LINES = [...new Set(Object.values(CARDS).flatMap((card) => card.lines))];

const percent = (share) => fixed(100 * share, 1);
const minutes = (seconds) => fixed(seconds / 60, 1);

/**
 * @param {HTMLElement} host
 * @param {(name: string) => void} opened what a click on a card does
 */
export function cards(host, opened) {
  const shown = new Map();
  for (const [name, { lines }] of Object.entries(CARDS)) {
    const value = make("span", { class: "value" }, "–");
    const note = make("span", { class: "note" });
    const card = make("button", { class: "card", id: `card-${name}`, type: "button" }, make("span", { class: "name" }, t(`card.${name}`)), value, note);
    const drawing = node("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const paths = lines.map((line, k) => drawing.appendChild(node("path", { class: k ? "spark two" : "spark" })));
    card.append(drawing);
    card.addEventListener("click", () => opened(name));
    host.append(card);
    shown.set(name, { card, value, note, paths });
  }

  /** Write the figures. @param {any} figures as the socket's `k` */
  function update(figures) {
    for (const [name, { card, value, note }] of shown) {
      if (!figures?.[name]) continue;
      const told = CARDS[name].told(figures);
      value.replaceChildren(told.value, make("small", {}, told.unit));
      note.replaceChildren(...told.notes);
      card.dataset.state = told.state;
    }
  }

  /** Draw the lines of late: 60 points each. @param {(name: string, points: number) => {t: number[], last: (number | null)[]}} lately */
  function draw(lately) {
    for (const [name, { paths }] of shown) {
      const lines = CARDS[name].lines.map((line) => lately(line, 60));
      const values = lines.flatMap((line) => line.last.filter((each) => each !== null));
      const most = Math.max(...values, name === "occupancy" || name === "robot_utilisation" ? 1 : 0) || 1;
      lines.forEach((line, k) => paths[k].setAttribute("d", path(line.last, most)));
    }
  }

  return { update, draw };
}

/** A line from the left to the right, broken where there is no value. */
function path(values, most) {
  const step = WIDE / Math.max(1, values.length - 1);
  let isOpen = false;
  return values.map((value, k) => {
    if (value === null) {
      isOpen = false;
      return "";
    }
    const point = `${isOpen ? "L" : "M"}${(k * step).toFixed(1)} ${(HIGH - 1 - (value / most) * (HIGH - 2)).toFixed(1)}`;
    isOpen = true;
    return point;
  }).join("");
}
