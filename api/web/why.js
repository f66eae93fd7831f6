/**
 * Why: where the time of orders goes, by cause; and for a task what each constraint removed, which slots were
 * best, and what other rules would have chosen, drawn on the racks.
 */

import { get, wordsOf } from "./api.js";
import { clock, lang, number, span, t } from "./i18n.js";
import { link } from "./link.js";
import { button, make } from "./make.js";

/** Causes in which nobody works on the order: it waits, or the house is closed. */
const WAITS = new Set(["waiting_stock", "count", "waiting_robot", "waiting_people", "tour_wait", "aisle", "port", "conflict", "charging", "fault"]);

/** Time by cause as bars, the longest first: work, waiting, and closed hours look different. @param {Record<string, number>} causes in seconds */
export function split(causes) {
  const parts = Object.entries(causes).filter(([, seconds]) => seconds > 0).sort((a, b) => b[1] - a[1]);
  const all = parts.reduce((sum, [, seconds]) => sum + seconds, 0);
  return make("div", { class: "split" }, ...parts.flatMap(([cause, seconds]) => {
    const bar = make("i", { class: cause === "outside_shifts" ? "off" : WAITS.has(cause) && "wait" });
    bar.style.width = `${(100 * seconds) / Math.max(1, parts[0][1])}%`;
    return [make("span", {}, t(`cause.${cause}`)), bar, make("span", {}, `${span(seconds)} · ${number((100 * seconds) / Math.max(1, all))} %`)];
  }));
}

/** Where lead time goes in this run, and the orders of which one may ask it. */
export function leadTime({ kpis, late, orders }, page) {
  const causes = kpis.kpis.order_time_by_cause_s;
  const cycle = kpis.kpis.order_cycle_time_s;
  const lateOnes = late.slice(-12).reverse();
  return [
    make("p", { class: "muted" }, t("lead.what", { orders: number(causes.n ?? 0) })),
    cycle.value === null ? null : make("dl", {}, make("dt", {}, t("lead.mean")), make("dd", {}, span(cycle.value)), make("dt", {}, "P95"), make("dd", {}, span(cycle.p95))),
    causes.parts ? split(causes.parts) : make("p", { class: "muted" }, t("card.no_orders")),
    make("h3", {}, t("lead.late")),
    lateOnes.length ? make("ul", { class: "events" }, ...lateOnes.map((order) => make("li", {}, link("order", order.order, `${t("kind.order")} ${order.order}`), ` ${order.station}, `,
      make("span", { class: "bad" }, t("order.late_by", { span: span(order.late_s ?? kpis.t_s - order.due_s) }))))) : make("p", { class: "muted" }, t("lead.none_late")),
    orders.length ? make("h3", {}, t("lead.last")) : null,
    orders.length ? make("div", { class: "crumbs" }, ...orders.map((order) => link("order", order))) : null,
  ];
}

/** A part of the detail pane that asks why a task is as it is, when somebody wants to know. */
export function why(page, task) {
  const box = make("div", {});
  const asks = button(t("why"), async () => {
    asks.disabled = true;
    const wait = make("p", { class: "muted", role: "status" }, t("why.plays"));
    box.append(wait);
    try {
      write(box, await get(page.path(`/tasks/${task}/why`), { consequences: false }), page);
    } catch (error) {
      wait.className = "bad";
      wait.textContent = wordsOf(error);
      asks.disabled = false;
    }
  }, { class: "main", "data-id": "why", id: "why" });
  box.append(make("div", { class: "buttons" }, asks));
  return box;
}

function write(box, told, page) {
  box.replaceChildren();
  const marks = new Map();
  const at = (name) => page.model.index.get(name);
  for (const decision of told.decisions) {
    box.append(make("h3", {}, `${t(`why.${decision.kind}`)} · ${clock(decision.t_s, page.model.start)}`));
    if (lang === "en" && decision.sentence) box.append(make("p", {}, decision.sentence));
    if (decision.rule) box.append(make("p", { class: "small muted" }, t("why.rule", { rule: decision.rule.name })));
    if (decision.constraints?.removed) box.append(removed(decision.constraints));
    if (decision.best?.length) box.append(...best(decision, marks, at));
    else if (decision.waiting) box.append(waiting(decision));
    if (decision.others?.length) box.append(others(decision, marks, at));
  }
  box.append(make("p", { class: "small muted" }, told.verified?.is_checked ? t("why.checked", { facts: number(told.verified.facts) }) : ""));
  if (marks.size) page.mark(marks);
}

/** How many slots or boxes each constraint took away, and how many were left. */
function removed({ slots, boxes, removed: parts, left }) {
  const rows = parts.filter((part) => part.slots ?? part.boxes).map((part) => [lang === "en" ? part.sentence : t(`constraint.${part.constraint}`), part.slots ?? part.boxes]);
  return make("table", {}, make("tbody", {},
    make("tr", {}, make("td", {}, t(slots === undefined ? "why.all_boxes" : "why.all")), make("td", { class: "n" }, number(slots ?? boxes))),
    ...rows.map(([words, count]) => make("tr", {}, make("td", {}, words), make("td", { class: "n" }, `−${number(count)}`))),
    make("tr", {}, make("td", {}, make("b", {}, t("why.left"))), make("td", { class: "n" }, make("b", {}, number(left))))));
}

/** A slot that is a choice, or in which a box that is one stands. */
const standing = (choice) => choice.slot ?? choice.place;

/** The best five, numbered as on the racks. */
function best({ best: five }, marks, at) {
  five.forEach((choice, k) => {
    const slot = at(standing(choice));
    if (slot === undefined) return;
    const before = marks.get(slot);
    marks.set(slot, { kind: "best", text: before?.kind === "best" ? `${before.text[0]}+` : String(k + 1) });
  });
  const rows = five.map((choice, k) => make("tr", {},
    make("td", {}, String(k + 1)), make("td", {}, choice.box === undefined ? link("slot", choice.slot) : link("box", choice.box)),
    make("td", {}, choice.box === undefined ? t("racks.of", { boxes: choice.boxes + (choice.kept ?? 0), capacity: choice.capacity }) : make("span", {}, at(choice.place) === undefined ? choice.place : link("slot", choice.place), ` ${choice.verified ?? ""}`)),
    make("td", { class: "n" }, choice.port_s === undefined || choice.port_s === null ? "" : span(choice.port_s))));
  return [make("p", { class: "small" }, make("b", {}, t("why.best"))), make("table", {}, make("tbody", {}, ...rows))];
}

/** What other rules would have chosen. */
function others({ others: choices }, marks, at) {
  const rows = choices.slice(0, 8).map((choice, k) => {
    const slot = at(standing(choice));
    if (slot !== undefined && !marks.has(slot)) marks.set(slot, { kind: "other", text: String.fromCharCode(65 + k) });
    const mark = slot !== undefined && marks.get(slot).kind === "other" ? `${marks.get(slot).text} ` : "";
    const what = choice.box !== undefined ? link("box", choice.box) : choice.slot ? link("slot", choice.slot) : choice.task !== undefined ? link("task", choice.task) : t("none");
    return make("tr", {}, make("td", {}, mark, what, choice.is_chosen ? ` ${t("why.chosen")}` : ""), make("td", { class: "small" }, choice.rules.join(", ")));
  });
  return make("div", {}, make("p", { class: "small" }, make("b", {}, t("why.others"))), make("table", {}, make("tbody", {}, ...rows)));
}

function waiting({ waiting: classes }) {
  return make("p", { class: "small" }, classes.map((each) => t("why.waited", { tasks: each.tasks, class: t(`class.${each.class}`), span: span(each.waited_s) })).join("; "));
}
