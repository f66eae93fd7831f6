/**
 * Steering: a command is a button, a few fields with something sensible in them, and Send; what became of it is
 * said, stands in the run's command log, and what it made is opened.
 */

import { all, get, post } from "./api.js";
import { clock, said, t } from "./i18n.js";
import { ask as askFor, field as labelled } from "./dialog.js";
import { link, opened } from "./link.js";
import { button, make } from "./make.js";

const SETTLE_MS = 8000;

/**
 * The fields of each command: name, what kind of input, what stands in it, and how the arguments are made of them.
 * @type {Record<string, {fields: (page: any) => any[], args: (v: Record<string, string>) => Record<string, any>}>}
 */
const COMMANDS = {
  order: {
    fields: (page) => [["station", "number", 1, { min: 0 }], ["sku", "choice", page.skus], ["meters", "number", 45, { min: 1 }], ["due_min", "number", "", { min: 0, placeholder: t("steer.usual") }]],
    args: (v) => ({ station: Number(v.station), lines: [{ sku: v.sku, meters: Number(v.meters) }], ...(v.due_min === "" ? {} : { due_in_s: 60 * Number(v.due_min) }) }),
  },
  delivery: {
    fields: (page) => [["sku", "choice", page.skus], ["boxes", "number", 12, { min: 1 }], ["in_min", "number", 10, { min: 0 }]],
    args: (v) => ({ loads: [{ sku: v.sku, boxes: Number(v.boxes) }], in_s: 60 * Number(v.in_min) }),
  },
  stop_robot: { fields: robots, args: (v) => ({ robot: Number(v.robot) }) },
  repair_robot: { fields: robots, args: (v) => ({ robot: Number(v.robot) }) },
  block_slot: { fields: slot, args: (v) => ({ slot: v.slot.trim() }) },
  free_slot: { fields: slot, args: (v) => ({ slot: v.slot.trim() }) },
  count: {
    fields: (page) => [["slots", "text", chosen(page), { placeholder: t("steer.all_slots") }]],
    args: (v) => (v.slots.trim() ? { slots: v.slots.split(/[\s,;，；]+/).filter(Boolean) } : {}),
  },
  recall: { fields: () => [["lot", "text", "", { required: true }]], args: (v) => ({ lot: /^\d+$/.test(v.lot.trim()) ? Number(v.lot) : v.lot.trim() }) },
  change_policy: {
    fields: (page) => ["allocation", "retrieval", "dispatch", "dwell"].map((rule) => [rule, "choice", [["", t("steer.as_is", { now: page.scenario?.policy?.[rule] ?? "" })], ...page.policies[rule].map((each) => [each.name, each.name])], { titles: page.policies[rule] }]),
    args: (v) => Object.fromEntries(Object.entries(v).filter(([, name]) => name)),
  },
};

/** Those that have a button of their own. */
const BAR = ["order", "delivery", "stop_robot", "block_slot", "count", "recall", "change_policy"];

function robots(page) {
  return [["robot", "choice", page.model.live.robots.map((robot, number) => [String(number), robot.name])]];
}

function chosen(page) {
  return page.model.chosen < 0 ? "" : page.model.slots[page.model.chosen].slot;
}

function slot(page) {
  return [["slot", "text", chosen(page), { required: true }]];
}

/** @param {any} page @param {HTMLElement} bar @param {HTMLElement} log */
export function steer(page, bar, log) {
  bar.append(make("span", {}, t("steer")));
  for (const name of BAR) {
    const act = () => ask(name === "stop_robot" && page.model.live.robots.some((robot) => robot.activity === "down") ? "repair_robot" : name);
    bar.append(button(t(`steer.${name}`), act, { id: `steer-${name}` }));
  }

  /** Ask for the arguments of a command, and send it. @param {string} name @param {Record<string, any>} [given] */
  async function ask(name, given = {}) {
    if (name === "change_policy" && !page.policies) page.policies = live(await get("/policies").catch(() => ({})));
    await page.learned;
    const { fields, args } = COMMANDS[name];
    const labels = [];
    const inputs = fields(page).map(([field, kind, value, more = {}]) => {
      const input = kind === "choice"
        ? make("select", { name: field }, ...value.map((each) => (Array.isArray(each) ? make("option", { value: each[0] }, each[1]) : make("option", { value: each }, each))))
        : make("input", { name: field, type: kind, value: given[field] ?? value, min: more.min, placeholder: more.placeholder, required: more.required || (kind === "number" && field !== "due_min"), autocomplete: "off" });
      if (kind === "choice" && given[field] !== undefined) input.value = String(given[field]);
      const about = make("small", { class: "muted" });
      const titles = more.titles;
      if (titles) input.addEventListener("change", () => { about.textContent = titles.find((each) => each.name === input.value)?.sentence ?? ""; });
      labels.push(labelled(t(`field.${field}`), input, ...(titles ? [about] : [])));
      return input;
    });
    const parts = [make("p", { class: "muted" }, t(`steer.${name}.what`)), page.at() !== null && make("p", { class: "warn" }, t("steer.now")), ...labels].filter(Boolean);
    askFor({ id: "send", title: t(`steer.${name}`), yes: t("send") }, parts, async () => {
      const values = Object.fromEntries(inputs.map((input) => [input.name, input.value]));
      settle(await post(page.path("/commands"), { type: name, args: args(values) }));
    });
  }

  /** Say what becomes of a command, and show what it made. */
  async function settle(command) {
    const until = performance.now() + SETTLE_MS;
    let told = command;
    while (told.state === "accepted" && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 120));
      told = await get(page.path(`/commands/${command.id}`)).catch(() => told);
    }
    list();
    const name = t(`steer.${told.type}`);
    if (told.state === "rejected") page.say(t("command.rejected", { name, reason: reasonOf(told) }), true);
    else page.say(t(`command.${told.state}`, { name, time: told.t_s === null ? "" : clock(told.t_s, page.model.start) }), false);
    if (told.state !== "applied") return;
    if (told.type === "order" && told.made?.order !== undefined) page.open("order", String(told.made.order));
    if (/_slot$/.test(told.type)) page.open("slot", told.args.slot);
    if (told.type === "count" && told.args.slots?.length) page.open("slot", told.args.slots[0]);
    if (/_robot$/.test(told.type)) page.open("robot", `robot-${told.args.robot + 1}`);
    if (told.type === "recall") page.open("lot", String(told.args.lot));
    if (told.type === "change_policy") page.learn();
  }

  /** The run's command log, the newest first. */
  async function list() {
    const commands = (await all(page.path("/commands"), "commands").catch(() => [])).slice(-60);
    log.replaceChildren(commands.length ? make("ul", {}, ...commands.reverse().map(row)) : make("p", { class: "muted" }, t("commands.none")));
  }

  function row(command) {
    const tone = { applied: "good", rejected: "bad", expired: "warn" }[command.state] ?? "";
    const made = Object.entries(command.made ?? {}).filter(([kind]) => kind === "order" || kind === "task").map(([kind, name]) => link(kind, name, `${t(`kind.${kind}`)} ${name}`));
    return make("li", {}, make("time", {}, command.t_s === null ? "" : clock(command.t_s, page.model.start)), make("b", {}, t(`steer.${command.type}`) === `steer.${command.type}` ? command.type : t(`steer.${command.type}`)), " ",
      make("span", { class: `badge ${tone}` }, t(`command.state.${command.state}`)), make("div", { class: "small muted" }, brief(command.args), " ", ...made), command.reason && make("div", { class: "small bad" }, reasonOf(command)));
  }

  log.addEventListener("click", (event) => {
    const found = opened(event);
    if (found) page.open(...found);
  });

  return { ask, list };
}

/** Why a command was rejected; in another language than the server's first by its kind, in words of the page. */
function reasonOf({ type, reason }) {
  return said.rejected[type] ? `${said.rejected[type]} (${reason})` : reason;
}

/** Rules that a run can change to. */
function live(policies) {
  return Object.fromEntries(["allocation", "retrieval", "dispatch", "dwell"].map((rule) => [rule, (policies[rule] ?? []).filter((each) => each.is_live !== false)]));
}

/** Arguments in a few words. */
function brief(args) {
  return Object.entries(args).map(([name, value]) => {
    if (Array.isArray(value)) return value.map((each) => (typeof each === "object" ? Object.values(each).join(" ") : each)).join(", ");
    return typeof value === "object" && value !== null ? Object.entries(value).map(([key, each]) => `${key} = ${each}`).join(", ") : `${name} ${value}`;
  }).join(", ");
}
