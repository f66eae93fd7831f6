/**
 * What is known of one thing: a slot, a box, a meter, a lot, an order, a robot, a task, or where lead time goes.
 *
 * What is open stands in the address. It is looked at again while the store goes on, and written anew only when
 * something of it has changed, so that whoever reads it, or has it read, is not disturbed.
 */

import { all, Refused, wordsOf } from "./api.js";
import { clock, lang, number, span, t } from "./i18n.js";
import { link, opened } from "./link.js";
import { button, make } from "./make.js";
import { csv, save } from "./save.js";
import { leadTime, split, why } from "./why.js";

const EVERY_MS = 1500;
const LISTED = 30;
const EVENT_COLUMNS = ["time_s", "at", "event", "text", "place", "box_name", "by", "order", "task"];
export const KINDS = ["slot", "box", "meter", "lot", "order", "robot", "task", "lead"];

/** Where the API has each kind, and its list of events. */
const PATHS = { slot: "/slots/", box: "/boxes/", meter: "/meters/", lot: "/lots/", order: "/orders/", robot: "/robots/", task: "/tasks/" };

/** @param {any} page @param {HTMLElement} host */
export function detail(page, host) {
  /** @type {{kind: string, name: string} | null} */
  let open = null;
  let text = "";
  let facts = -1;
  let last = 0;
  let isBusy = false;
  /** @type {any} */
  let known = null;

  async function show(kind, name) {
    open = { kind, name };
    [text, facts, last] = ["", -1, 0];
    host.classList.add("busy");
    await refresh(true);
    host.classList.remove("busy");
  }

  function close() {
    open = null;
    text = "";
    idle();
  }

  /** What stands here while nothing is chosen: the stock by kind of meter. @param {any} [stock] */
  function idle(stock = known) {
    known = stock;
    if (open) return;
    const rows = (stock?.lines ?? []).map((line) => make("tr", {}, make("td", {}, line.key), make("td", { class: "n" }, number(line.on_hand)),
      make("td", { class: line.usable < 0 ? "n bad" : "n" }, number(line.usable)), make("td", { class: "n" }, number(line.on_order))));
    host.replaceChildren(
      make("h2", {}, t("stock")), make("p", { class: "muted" }, t("detail.how")),
      rows.length ? make("table", { class: "kinds" }, make("thead", {}, make("tr", {}, ...["sku", "on_hand", "usable", "on_order"].map((name, k) => make("th", { scope: "col", class: k > 0 && "n" }, t(`stock.${name}`))))), make("tbody", {}, ...rows)) : "");
  }

  /** Look again, if the store has gone on. */
  async function refresh(isNow = false, version = 0) {
    if (!open || isBusy) return;
    const now = performance.now();
    if (!isNow && (version === facts || now - last < EVERY_MS || open.kind === "lead" || page.at() !== null)) return;
    [isBusy, last, facts] = [true, now, version];
    const asked = open;
    try {
      const told = await told_of(asked);
      if (open === asked) write(asked, told);
    } catch (error) {
      if (open === asked && (isNow || error instanceof Refused)) fail(asked, error);
    } finally {
      isBusy = false;
      if (open && open !== asked) refresh(true);
    }
  }

  async function told_of({ kind, name }) {
    if (kind === "lead") return { kpis: await page.get("/kpis"), late: await all(page.path("/orders"), "orders", { status: "late", at: page.at() }), orders: await lastOrders() };
    const path = PATHS[kind] + encodeURIComponent(name);
    const view = kind === "slot" && page.isTruth() ? "truth" : null;
    const [thing, past] = await Promise.all([
      page.get(path, { view }),
      kind === "task" ? null : page.get(`${path}/history`, { sort: kind === "meter" ? "oldest" : "newest", limit: kind === "meter" ? 100 : LISTED }),
    ]);
    return { thing, events: past?.events ?? null };
  }

  async function lastOrders() {
    const handed = await page.get("/events", { kind: "order_handed_over", sort: "newest", limit: 12 });
    return handed.events.map((event) => event.order);
  }

  function fail(asked, error) {
    text = "";
    host.replaceChildren(head(asked), make("p", { class: "bad" }, wordsOf(error)));
  }

  function write(asked, told) {
    const words = JSON.stringify({ ...told, thing: { ...told.thing, t_s: 0, time: 0, facts: 0 } });
    if (words === text) return;
    text = words;
    const focused = host.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    const folded = [...host.querySelectorAll("details")].map((each) => each.open);
    const top = host.scrollTop;
    host.replaceChildren(head(asked), ...VIEWS[asked.kind](told, page).filter(Boolean));
    [...host.querySelectorAll("details")].forEach((each, k) => { each.open = folded[k] ?? each.open; });
    host.scrollTop = top;
    if (focused) host.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }

  function head({ kind, name }) {
    const shut = button("✕", () => page.open(null, ""), { class: "plain close", "aria-label": t("close"), "data-id": "close" });
    return make("div", {}, shut, make("div", { class: "kind" }, t(`kind.${kind}`)), make("h2", {}, kind === "lead" ? t("lead.title") : name));
  }

  host.addEventListener("click", (event) => {
    const found = opened(event);
    if (found) page.open(...found);
  });

  close();
  return { show, close, refresh, idle, get open() { return open; } };
}

// --- parts -----------------------------------------------------------------------------------------------

/** A place: a slot can be opened. */
function place(name, page) {
  if (name === null || name === undefined) return "–";
  return page.model.index.has(name) ? link("slot", name) : t(`place.${name}`) === `place.${name}` ? name : t(`place.${name}`);
}

function facts(rows) {
  return make("dl", {}, ...rows.filter(Boolean).flatMap(([name, value]) => [make("dt", {}, t(name)), make("dd", {}, value ?? "–")]));
}

function act(label, asked, isDanger = false) {
  return button(t(label), asked, { class: isDanger && "danger", "data-id": label });
}

/** An age in days, with a mark when it is too old. */
function age(days, page) {
  if (days === null || days === undefined) return "–";
  const [old, tooOld] = page.model.old;
  const words = t("age.days", { days: number(days) });
  if (days > tooOld) return make("span", { class: "bad" }, `${words} ● ${t("age.too_old")}`);
  return days > old ? make("span", { class: "warn" }, `${words} ● ${t("age.old")}`) : words;
}

function status(name) {
  return t(`status.${name}`);
}

/** When something happened, by the run's own clock. */
function when(seconds, page) {
  return seconds === null || seconds === undefined ? "–" : clock(seconds, page.model.start);
}

/** What happened, as a line of places and times. */
function events(list, page, name) {
  if (!list) return [];
  const rows = list.map((event) => make("li", {},
    make("time", {}, `${when(event.time_s, page)}${event.by ? ` · ${event.by}` : ""}`),
    make("span", {}, make("b", {}, word("event", event.event)), " ", lang === "en" ? event.text : event.box_name ? `${t("kind.box")} ${event.box_name}` : null),
    make("div", { class: "crumbs" },
      event.place && page.model.index.has(event.place) ? link("slot", event.place) : event.place ? make("span", { class: "muted" }, place(event.place, page)) : "",
      event.task === null ? "" : link("task", event.task, `${t("kind.task")} ${event.task}`),
      event.order === null ? "" : link("order", event.order, `${t("kind.order")} ${event.order}`))));
  return [
    make("h3", {}, t("history")),
    rows.length ? make("ul", { class: "events" }, ...rows) : make("p", { class: "muted" }, t("history.none")),
    rows.length ? make("div", { class: "buttons" }, act("JSON", () => save(`${name}.json`, "application/json", JSON.stringify(list, null, 1))),
      act("CSV", () => save(`${name}.csv`, "text/csv", "\ufeff", csv([EVENT_COLUMNS, ...list.map((event) => EVENT_COLUMNS.map((column) => event[column]))])))) : null,
  ];
}

/** A word of the model, in the language of the page where the dictionary has it. */
function word(group, name) {
  const key = `${group}.${String(name).replaceAll(" ", "_")}`;
  const found = t(key);
  return found === key ? String(name).replaceAll("_", " ") : found;
}

function boxTable(boxes, page) {
  if (!boxes.length) return make("p", { class: "muted" }, t("slot.empty"));
  const names = ["box", "sku", "meters", "age"].map((name) => make("th", { scope: "col", class: name === "meters" && "n" }, t(`box.${name}`)));
  return make("table", { class: "boxes" }, make("thead", {}, make("tr", {}, ...names)), make("tbody", {}, ...boxes.map((box) => make("tr", {},
    make("td", {}, link("box", box.box)), make("td", {}, box.sku, box.status === "qualified_in_stock" ? "" : make("div", { class: "small warn" }, word("asset", box.status)),
      box.recorded_place === undefined || box.recorded_place === null ? "" : make("div", { class: "small bad" }, t("truth.recorded", { place: box.recorded_place }))),
    make("td", { class: "n" }, number(box.meters)), make("td", {}, box.verified_on ?? "–", make("div", { class: "small" }, age(box.age_days, page)))))));
}

// --- views -----------------------------------------------------------------------------------------------

/** @type {Record<string, (told: any, page: any) => (Node | null)[]>} */
const VIEWS = {
  slot({ thing, events: list }, page) {
    const filled = make("i");
    filled.style.width = `${100 * thing.fill}%`;
    const look = thing.last_count;
    return [
      make("div", { class: "meter", role: "img", "aria-label": t("racks.of", { boxes: thing.boxes.length, capacity: thing.capacity }) }, filled),
      facts([
        ["slot.boxes", t("racks.of", { boxes: number(thing.boxes.length), capacity: number(thing.capacity) })],
        ["slot.meters", number(thing.meters)],
        ["slot.class", thing.zone],
        ["slot.status", status(thing.status)],
        thing.reserved ? ["slot.reserved", number(thing.reserved)] : null,
        ["slot.last_count", look ? `${when(look.t_s, page)}: ${t("count.seen", { seen: look.seen, recorded: look.recorded })}` : t("count.never")],
        ["slot.expires", thing.expires_on],
      ]),
      make("div", { class: "buttons" },
        act("steer.count", () => page.steer("count", { slots: thing.slot })),
        thing.status === "blocked" ? act("steer.free_slot", () => page.steer("free_slot", { slot: thing.slot })) : act("steer.block_slot", () => page.steer("block_slot", { slot: thing.slot }))),
      make("h3", {}, t("slot.contents")),
      boxTable(thing.boxes, page),
      ...events(list, page, thing.slot),
    ];
  },

  box({ thing, events: list }, page) {
    return [
      facts([
        ["box.place", make("span", {}, place(thing.place, page), thing.tier === null ? "" : ` ${thing.column}.${thing.tier}`)],
        ["box.sku", thing.sku],
        ["box.meters", t("box.of", { meters: thing.meters, capacity: thing.capacity })],
        ["box.status", word("asset", thing.status)],
        ["kind.lot", link("lot", thing.lot)],
        ["box.verified", thing.verified_on],
        ["box.age", age(thing.age_days, page)],
        thing.order === null ? null : ["kind.order", link("order", thing.order)],
        thing.task === null ? null : ["kind.task", link("task", thing.task?.task ?? thing.task)],
      ]),
      make("details", {}, make("summary", {}, t("box.assets", { meters: thing.assets.length })),
        make("ul", { class: "events" }, ...thing.assets.map((asset) => make("li", {}, link("meter", asset))))),
      ...events(list, page, `box-${thing.box}`),
    ];
  },

  meter({ thing, events: list }, page) {
    return [
      lang === "en" ? make("p", {}, thing.sentence) : null,
      facts([
        ["meter.status", word("asset", thing.status)],
        ["box.place", place(thing.place, page)],
        ["kind.box", link("box", thing.box)],
        ["box.sku", thing.sku],
        ["kind.lot", link("lot", thing.lot)],
        ["box.verified", thing.verified_on],
        ["box.age", age(thing.age_days, page)],
        thing.order === null ? null : ["kind.order", link("order", thing.order)],
      ]),
      make("h3", {}, t("meter.life")),
      ...events(list, page, `meter-${thing.asset}`).slice(1),
    ];
  },

  lot({ thing, events: list }, page) {
    return [
      facts([
        ["box.sku", thing.sku],
        ["slot.boxes", t("lot.here", { here: thing.in_store, all: thing.boxes })],
        ["box.meters", number(thing.meters)],
        ["box.verified", thing.verified_from],
        ["lot.recall", thing.recalled ? t("lot.recalled", { left: thing.recall?.left ?? 0, boxes: thing.recall?.boxes ?? 0 }) : t("no")],
      ]),
      thing.recalled ? null : make("div", { class: "buttons" }, act("steer.recall", () => page.steer("recall", { lot: thing.lot }), true)),
      ...events(list, page, `lot-${thing.lot}`),
    ];
  },

  order({ thing, events: list }, page) {
    const lines = thing.lines.map((line) => `${number(line.meters)} ${line.sku}${line.missing ? ` (${t("order.missing", { meters: line.missing })})` : ""}`);
    return [
      facts([
        ["order.station", thing.station],
        ["box.status", make("span", { class: thing.late && "bad" }, `${word("order", thing.status)}${thing.late ? `, ${t("order.late")}` : ""}`)],
        ["order.lines", lines.join("; ")],
        ["order.released", when(thing.released_s, page)],
        ["order.due", when(thing.due_s, page)],
        ["order.handed", when(thing.handed_over_s, page)],
        thing.handed_over_s === null ? ["order.waits", span(thing.t_s - thing.released_s)] : ["order.took", span(thing.handed_over_s - thing.released_s)],
      ]),
      make("h3", {}, t("order.why")),
      thing.time_by_cause_s ? split(thing.time_by_cause_s) : make("p", { class: "muted" }, t("order.open_yet")),
      thing.tasks.length ? make("h3", {}, t("order.tasks")) : null,
      thing.tasks.length ? make("div", { class: "crumbs" }, ...thing.tasks.slice(0, 40).map((task) => link("task", task))) : null,
      thing.boxes.length ? make("h3", {}, t("slot.boxes")) : null,
      thing.boxes.length ? make("div", { class: "crumbs" }, ...thing.boxes.slice(0, 40).map((box) => link("box", box.box))) : null,
      ...events(list, page, `order-${thing.order}`),
    ];
  },

  robot({ thing, events: list }, page) {
    const number_ = Number(thing.robot.replace(/\D/g, "")) - 1;
    const isStopped = thing.state === "fault" || page.model.shown.robots[number_]?.activity === "down";
    return [
      facts([
        ["robot.state", word("activity", isStopped ? "fault" : thing.state)],
        ["box.place", make("span", {}, place(thing.from_place, page), thing.to_place && thing.to_place !== thing.from_place ? " → " : "", thing.to_place && thing.to_place !== thing.from_place ? place(thing.to_place, page) : "")],
        ["robot.battery", `${number(thing.battery_permille / 10)} %`],
        ["robot.load", thing.boxes.length ? make("span", { class: "crumbs" }, ...thing.boxes.map((box) => link("box", box))) : t("none")],
        ["kind.task", thing.task === null ? t("none") : link("task", thing.task)],
        ["robot.since", when(thing.since_s, page)],
      ]),
      make("div", { class: "buttons" }, isStopped ? act("steer.repair_robot", () => page.steer("repair_robot", { robot: number_ })) : act("steer.stop_robot", () => page.steer("stop_robot", { robot: number_ }), true)),
      make("h3", {}, t("robot.tasks")),
      thing.last_tasks.length ? make("table", {}, make("tbody", {}, ...thing.last_tasks.map((task) => make("tr", {},
        make("td", {}, link("task", task.task)), make("td", {}, word("class", task.class)), make("td", {}, place(task.from_place, page), " → ", place(task.to_place, page)), make("td", { class: "n" }, when(task.ended_s, page).split(" ")[1] ?? "–"))))) : make("p", { class: "muted" }, t("none")),
      ...events(list, page, thing.robot),
    ];
  },

  task({ thing }, page) {
    return [
      facts([
        ["task.class", word("class", thing.class)],
        ["box.status", word("taskstate", thing.status)],
        ["kind.box", link("box", thing.box)],
        ["task.way", make("span", {}, place(thing.from_place, page), " → ", place(thing.to_place, page))],
        thing.order === null ? null : ["kind.order", link("order", thing.order)],
        ["kind.robot", thing.robot === null ? t("none") : link("robot", thing.robot)],
        ["task.created", when(thing.created_s, page)],
        ["task.assigned", when(thing.assigned_s, page)],
        ["task.ended", when(thing.ended_s, page)],
        thing.assigned_s === null ? null : ["task.waited", span(thing.assigned_s - thing.created_s)],
      ]),
      why(page, thing.task),
    ];
  },

  lead(told, page) {
    return leadTime(told, page);
  },
};

