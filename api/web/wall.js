/** Wall mode: the racks, five figures and the alerts, large enough to be read from two metres. Escape leaves it. */

import { address, clock, fixed, number, t } from "./i18n.js";
import { make } from "./make.js";

const LOOK_MS = 500;

/** Figures in the order of the wall: words, value and unit of each. @type {Record<string, (k: any) => [string, string, string]>} */
const FIGURES = {
  occupancy: (k) => [share(k.occupancy.value), "%", k.occupancy.state],
  queue: (k) => [number(k.queue.value), t("unit.tasks"), k.queue.state],
  boxes_per_h: (k) => [`${number(k.boxes_per_h.in)} / ${number(k.boxes_per_h.out)}`, "", k.boxes_per_h.state],
  robot_utilisation: (k) => [share(k.robot_utilisation.value), "%", k.robot_utilisation.state],
  lead_time: (k) => [k.lead_time.p95 === null ? "–" : fixed(k.lead_time.p95 / 60, 1), t("unit.min"), k.lead_time.state],
};

function share(value) {
  return value === null ? "–" : fixed(value * 100, 1);
}

/** Turn the Live page into a wall. @param {any} page what main.js keeps: the model and the figures */
export function wall(page) {
  document.documentElement.classList.add("wall");
  document.head.append(make("link", { rel: "stylesheet", href: "/static/wall.css" }));
  const time = make("b", { class: "wall-clock" });
  const state = make("span", { class: "pill" });
  const name = make("span", { class: "wall-name" });
  const leave = make("a", { href: address("/ui/"), class: "wall-leave" }, t("wall.leave"));
  const figures = make("div", { class: "wall-figures" });
  const alerts = make("div", { class: "wall-alerts", role: "status" });
  const cells = Object.fromEntries(Object.keys(FIGURES).map((key) => {
    const value = make("b", {});
    const unit = make("small", {});
    const box = make("div", { class: "wall-figure" }, make("span", {}, t(key === "boxes_per_h" ? "wall.boxes_per_h" : `card.${key}`)), make("p", {}, value, " ", unit));
    figures.append(box);
    return [key, { box, value, unit }];
  }));
  const main = document.getElementById("main");
  main.prepend(make("div", { class: "wall-head" }, make("span", { class: "wall-title" }, "meterhouse"), name, make("span", { class: "grow" }), state, time), figures);
  main.append(alerts, leave);

  function show() {
    const { model, figures: k } = page;
    const pill = document.getElementById("state");
    time.textContent = clock(model.shown.t, model.start);
    name.textContent = model.name;
    state.textContent = pill.textContent;
    state.dataset.state = pill.dataset.state;
    fit();
    if (!k) return;
    for (const [key, told] of Object.entries(FIGURES)) {
      const [value, unit, how] = told(k);
      const cell = cells[key];
      cell.value.textContent = value;
      cell.unit.textContent = unit;
      cell.box.dataset.state = how;
    }
    const open = alertsOf(k);
    alerts.dataset.state = open.length ? (k.alerts.red || k.alerts.robots_down ? "bad" : "warn") : "ok";
    const words = open.length ? `${t("alerts")}: ${open.join(" · ")}` : t("alerts.none");
    if (alerts.textContent !== words) alerts.textContent = words;
  }

  /** Make the racks as large as the screen has room for. */
  function fit() {
    const grid = document.getElementById("grid");
    if (!grid.offsetHeight) return;
    const above = main.getBoundingClientRect().height - grid.offsetHeight;
    const room = Math.max(180, innerHeight - above + slack());
    const wide = grid.parentElement.clientWidth;
    const fitting = Math.floor(Math.min(wide, (room / grid.offsetHeight) * grid.offsetWidth));
    if (Math.abs(fitting - grid.offsetWidth) > 3) grid.style.maxWidth = `${fitting}px`;
  }

  /** What stays free in the panel of the racks, since the page is at least as high as the screen. */
  function slack() {
    const panel = document.querySelector(".racks");
    const style = getComputedStyle(panel);
    return panel.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom) - panel.querySelector("#racks").offsetHeight;
  }

  addEventListener("resize", fit);
  const looking = setInterval(show, LOOK_MS);
  show();
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    clearInterval(looking);
    location.href = leave.href;
  });
  // A screen that shows the store all day is not to go dark.
  navigator.wakeLock?.request("screen").catch(() => undefined);
  dispatchEvent(new Event("resize"));
}

/** What is to be acted on, in words. */
function alertsOf(k) {
  const found = Object.entries(k.alerts.by_kind).filter(([, { yellow, red }]) => yellow + red).map(([kind, { yellow, red }]) => `${t(`alert.${kind}`)} ${number(yellow + red)}`);
  for (const key of ["robots_down", "slots_held", "slots_blocked"]) if (k.alerts[key]) found.push(`${t(`alert.${key}`)} ${number(k.alerts[key])}`);
  if (k.lead_time.late_open) found.push(`${t("alert.late")} ${number(k.lead_time.late_open)}`);
  return found;
}
