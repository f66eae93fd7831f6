/**
 * The run's past: a slider from its beginning to now. While it stands somewhere, racks, robots and figures are
 * those of that instant; from there a branch can begin, with other values, beside the run as it is.
 */

import { get, post } from "./api.js";
import { ask, field } from "./dialog.js";
import { address, clock, t } from "./i18n.js";
import { button, make } from "./make.js";
import { robotAt } from "./model.js";

const WAIT_MS = 120;

/** @param {any} page @param {HTMLElement} host */
export function timeline(page, host) {
  const slider = make("input", { type: "range", min: 0, max: 1, step: 1, value: 1, id: "past", "aria-label": t("past") });
  const output = make("output", { for: "past" });
  const live = button(t("live"), () => go(null), { id: "to-live", "aria-pressed": "true" });
  const branch = button(t("past.branch"), () => askBranch(page, page.at() ?? Math.floor(now)), { id: "branch" });
  const hop = (sign, name, seconds) => button(sign, () => go(Math.max(0, Math.round((page.at() ?? now) + seconds))), { "aria-label": t(name), title: t(name) });
  host.append(make("label", { for: "past", class: "muted" }, t("past")), slider, output, make("span", { class: "joined" }, hop("◀", "past.back", -60), hop("▶", "past.on", 60)), live, branch);
  let waiting = 0;
  let asked = 0;
  let now = 0;

  /** Follow the run. @param {number} seconds */
  function follow(seconds) {
    now = seconds;
    slider.max = String(Math.max(1, Math.floor(seconds)));
    if (page.at() === null) slider.value = slider.max;
    tell(page.at() ?? seconds);
  }

  function tell(seconds) {
    const words = clock(seconds, page.model.start, true);
    output.textContent = words;
    slider.setAttribute("aria-valuetext", words);
    live.setAttribute("aria-pressed", String(page.at() === null));
  }

  /** Show an instant; null: follow the run again. @param {number | null} seconds */
  async function go(seconds) {
    const mine = ++asked;
    if (seconds === null || seconds >= Math.floor(now)) {
      page.past(null, null);
      tell(now);
      slider.value = slider.max;
      return;
    }
    tell(seconds);
    slider.value = String(seconds);
    try {
      const [boxes, robots, figures] = await Promise.all([
        get(page.path("/slots"), { at: seconds }), get(page.path("/robots"), { at: seconds }), figuresAt(seconds),
      ]);
      if (mine !== asked) return;
      const { model } = page;
      const fill = new Array(model.slots.length).fill(0);
      const flags = new Array(model.slots.length).fill(0);
      for (const each of boxes.slots) {
        const index = model.index.get(each.slot);
        fill[index] = each.boxes;
        flags[index] = each.status === "blocked" ? 1 : each.status === "held" ? 2 : 0;
      }
      page.past({ t: seconds, fill, flags, robots: robots.robots.map((robot, number) => robotAt(robot, number, model)) }, figures);
      tell(seconds);
    } catch (error) {
      if (mine === asked) page.say(error);
    }
  }

  /** The figures of an instant, out of the series. */
  async function figuresAt(at) {
    const names = [
      "occupancy", "meters", "queue", "oldest_task_s", "boxes_in_per_h", "boxes_out_per_h", "robot_utilisation", "lead_time_p50_s", "lead_time_p90_s",
      "lead_time_p95_s", "late_orders_open", "over_age_150", "over_age_180",
    ];
    const told = await Promise.all(names.map((name) => get(page.path("/series"), { name, from: at, to: at, points: 1 })));
    const at_ = Object.fromEntries(names.map((name, k) => [name, told[k].last[0] ?? null]));
    const of = page.figures ?? {};
    return {
      t_s: at,
      occupancy: { value: at_.occupancy ?? 0, meters: at_.meters, meters_capacity: of.occupancy?.meters_capacity ?? 0, state: "ok" },
      queue: { value: at_.queue ?? 0, oldest_s: at_.queue ? at_.oldest_task_s : null, state: "ok" },
      boxes_per_h: { in: at_.boxes_in_per_h ?? 0, out: at_.boxes_out_per_h ?? 0, state: "ok" },
      robot_utilisation: { value: at_.robot_utilisation, robots: page.model.live.robots.length, state: "ok" },
      lead_time: { p50: at_.lead_time_p50_s, p90: at_.lead_time_p90_s, p95: at_.lead_time_p95_s, late_open: at_.late_orders_open ?? 0, state: "ok" },
      over_age: {
        value: (at_.over_age_150 ?? 0), old: { days: page.model.old[0], meters: at_.over_age_150 ?? 0 }, too_old: { days: page.model.old[1], meters: at_.over_age_180 ?? 0 }, state: "ok",
      },
      alerts: { value: null, state: "ok" },
    };
  }

  slider.addEventListener("input", () => {
    const seconds = Number(slider.value);
    tell(seconds);
    clearTimeout(waiting);
    waiting = setTimeout(() => go(seconds), WAIT_MS);
  });

  return { follow, go };
}

/** Ask what is to be different from an instant on, start the branch, and compare it. */
async function askBranch(page, at) {
  const policies = await get("/policies").catch(() => ({}));
  const now = page.scenario ?? {};
  const rules = ["allocation", "retrieval", "dispatch"].map((rule) => make("select", { name: rule },
    make("option", { value: "" }, t("steer.as_is", { now: now.policy?.[rule] ?? "" })), ...(policies[rule] ?? []).filter((each) => each.is_live !== false).map((each) => make("option", {}, each.name))));
  const carry = make("input", { name: "carry", type: "number", min: 1, placeholder: now.robots?.carry });
  const more = make("textarea", { name: "more", rows: 2, placeholder: "demand.orders_per_day = 40" });
  const both = make("input", { type: "checkbox", checked: true, name: "both" });
  const parts = [
    make("p", { class: "muted" }, t("branch.what")), ...rules.map((select) => field(t(`field.${select.name}`), select)), field(t("field.carry"), carry), field(t("field.more"), more),
    make("label", {}, both, " ", t("branch.both")),
  ];
  ask({ id: "begin-branch", title: t("branch.title", { time: clock(at, page.model.start) }), yes: t("branch.begin") }, parts, async () => {
    const set = Object.fromEntries(rules.filter((select) => select.value).map((select) => [`policy.${select.name}`, select.value]));
    if (carry.value) set["robots.carry"] = Number(carry.value);
    for (const line of more.value.split("\n").filter((each) => each.trim())) {
      const [key, value] = line.split(/=(.*)/s).map((each) => each?.trim());
      if (!value) throw new Error(t("branch.line", { line }));
      set[key] = valueOf(value);
    }
    if (!Object.keys(set).length) throw new Error(t("branch.nothing"));
    const begin = (values, words) => post(page.path("/branch"), { at, set: values, mode: "batch", name: `${page.model.name}: ${words}`.slice(0, 90) });
    const changed = await begin(set, Object.values(set).join(", "));
    const other = both.checked ? await begin({}, t("branch.same")) : { id: page.model.run };
    const there = new URL(address("/ui/compare", { runs: `${other.id},${changed.id}` }), location.href);
    there.searchParams.delete("run");
    location.assign(there);
  });
}

/** A value as it is typed: a number, true or false, JSON, or a word. */
function valueOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
