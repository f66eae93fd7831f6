/**
 * Compare: two to six runs side by side. What differs in their inputs, their KPIs with the difference from the
 * first, and their lines over one another. Runs that have come to different instants are compared at the
 * earliest of these, so that none has had more time.
 */

import { get, wordsOf } from "./api.js";
import { address, t, translate } from "./i18n.js";
import { limitsIn } from "./limits.js";
import { make } from "./make.js";
import { figure, kpiName, plain, unitWord } from "./kpiwords.js";
import { pages } from "./nav.js";
import { overlay } from "./overlay.js";
import { node } from "./svg.js";

const MOST = 6;
const LINES = ["occupancy", "queue", "boxes_in_per_h", "boxes_out_per_h", "robot_utilisation", "lead_time_p95_s"];
const FIRST = [
  "orders", "order_cycle_time_s", "late_orders", "put_away_time_s", "boxes_per_hour", "robot_utilisation", "people_utilisation",
  "fill_boxes", "overdue_meters", "person_hours_per_1000_meters", "faults", "digs_per_retrieval",
];

const place = document.getElementById("compare");
const query = new URLSearchParams(location.search);
let chosen = (query.get("runs") ?? "").split(",").filter(Boolean).slice(0, MOST);
let isAll = query.get("all") === "1";
let asked = 0;

/** @param {any[]} runs */
function picker(runs) {
  const rows = runs.map((run) => {
    const box = make("input", { type: "checkbox", checked: chosen.includes(run.id), value: run.id });
    box.addEventListener("change", () => {
      chosen = box.checked ? [...chosen, run.id] : chosen.filter((id) => id !== run.id);
      for (const each of place.querySelectorAll(".picker input")) each.disabled = chosen.length >= MOST && !each.checked;
      keep();
      show(runs);
    });
    box.disabled = chosen.length >= MOST && !box.checked;
    return make("label", { class: "choice" }, box, make("b", {}, run.id), make("span", {}, run.name),
      make("small", {}, `${t("more.seed")} ${run.seed} · ${t(`is.${run.state}`)} · ${percent(run.progress)}`));
  });
  return make("details", { class: "picker panel", open: chosen.length < 2 },
    make("summary", {}, t("cmp.choose")), make("p", { class: "note" }, t("cmp.choose_note")),
    make("div", { class: "choices" }, ...rows));
}

function keep() {
  const now = new URLSearchParams(location.search);
  if (chosen.length) now.set("runs", chosen.join(","));
  else now.delete("runs");
  if (isAll) now.set("all", "1");
  else now.delete("all");
  history.replaceState(null, "", `?${now.toString().replaceAll("%2C", ",")}`);
}

function percent(share) {
  return `${Math.round(share * 100)} %`;
}

/** @param {any[]} runs all that there are */
async function show(runs) {
  const mine = (asked += 1);
  const found = chosen.map((id) => runs.find((run) => run.id === id)).filter(Boolean);
  const result = place.querySelector("#result");
  if (found.length < 2) {
    result.replaceChildren(make("p", { class: "empty" }, t("cmp.two")));
    return;
  }
  result.setAttribute("aria-busy", "true");
  try {
    const now = await Promise.all(found.map((run) => get(`/runs/${run.id}`)));
    const until = Math.min(...now.map((run) => run.t_s));
    const [kinds, kpis, inputs] = await Promise.all([
      get("/kpis"),
      Promise.all(now.map((run) => get(`/runs/${run.id}/kpis?at=${until}`))),
      Promise.all(now.map((run) => get(`/runs/${run.id}/scenario`))),
    ]);
    if (mine !== asked) return;
    const parts = [heads(now, until), inputTable(now, inputs), kpiTable(now, kinds.kpis, kpis), lines(now, until)];
    result.replaceChildren(...parts);
  } catch (error) {
    if (mine === asked) result.replaceChildren(make("p", { class: "problem", role: "alert" }, wordsOf(error)));
  } finally {
    if (mine === asked) result.removeAttribute("aria-busy");
  }
}

// --- the parts --------------------------------------------------------------------------------------------

/** A run's mark: the dash pattern and colour of its lines. */
function mark(index) {
  return node("svg", { viewBox: "0 0 28 8", class: "mark", "aria-hidden": "true" }, node("line", { x1: 0, x2: 28, y1: 4, y2: 4, class: `line l${index}` }));
}

function heads(runs, until) {
  const cards = runs.map((run, index) => make("div", { class: "panel runhead" },
    make("p", { class: "kicker" }, mark(index), " ", run.id),
    make("h3", {}, make("a", { href: address("/ui/", { run: run.id }) }, run.name)),
    make("p", { class: "note" }, `${run.scenario.name} · ${t("more.seed")} ${run.seed} · ${t(`is.${run.state}`)}`)));
  const isUneven = runs.some((run) => Math.abs(run.t_s - until) > 0.5);
  const demands = new Set(runs.map((run) => run.demand_digest));
  const notes = [
    make("p", {}, t(isUneven ? "cmp.uneven" : "cmp.until", { at: instant(until) })),
    make("p", {}, t("cmp.single")),
  ];
  if (!demands.has(null)) notes.push(make("p", {}, t(demands.size === 1 ? "cmp.same_demand" : "cmp.other_demand")));
  return make("section", { "aria-label": t("cmp.runs") },
    make("div", { class: "runheads" }, ...cards), make("div", { class: "panel notes" }, ...notes));
}

/** Simulated seconds since midnight of the first day, as day and time of day. */
function instant(seconds) {
  const at = new Date(Math.floor(seconds) * 1000).toISOString();
  return t("cmp.instant", { day: Math.floor(seconds / 86400) + 1, clock: at.slice(11, 16) });
}

function inputTable(runs, inputs) {
  const flat = inputs.map((each) => flatten(each.begun_with));
  const paths = [...new Set(flat.flatMap((each) => [...each.keys()]))]
    .filter((path) => path !== "name" && path !== "question")
    .filter((path) => new Set(flat.map((each) => each.get(path) ?? "–")).size > 1)
    .sort();
  const changed = inputs.map((each, index) => {
    const [then, now] = [flat[index], flatten(each.now)];
    return [...now.keys()].filter((path) => now.get(path) !== then.get(path)).map((path) => `${path}: ${then.get(path) ?? "–"} → ${now.get(path)}`);
  });
  const rows = paths.map((path) => make("tr", {}, make("th", { scope: "row" }, make("code", {}, path)),
    ...flat.map((each, index) => make("td", { class: index && each.get(path) !== flat[0].get(path) ? "differs" : "" }, folded(each.get(path) ?? "–")))));
  if (changed.some((each) => each.length)) {
    rows.push(make("tr", {}, make("th", { scope: "row" }, t("cmp.midrun")),
      ...changed.map((each) => make("td", {}, each.length ? make("ul", {}, ...each.map((text) => make("li", {}, text))) : t("cmp.nothing")))));
  }
  const inside = rows.length
    ? scrolled(make("table", { class: "inputs" }, headRow(runs, t("cmp.input")), make("tbody", {}, ...rows)), t("cmp.inputs"))
    : make("p", { class: "empty" }, t("cmp.same_inputs"));
  return make("section", {}, make("h2", {}, t("cmp.inputs")), make("p", { class: "lead" }, t("cmp.inputs_lead")), inside);
}

/** A long value is folded up. @param {string} text */
function folded(text) {
  return text.length < 60 ? text : make("details", {}, make("summary", {}, `${text.slice(0, 28)} …`), text);
}

function headRow(runs, first) {
  return make("thead", {}, make("tr", {}, make("th", { scope: "col" }, first),
    ...runs.map((run, index) => make("th", { scope: "col" }, mark(index), " ", run.id, make("small", {}, run.name), !index && make("small", {}, t("cmp.base"))))));
}

function scrolled(table, label) {
  return make("div", { class: "scroll panel", tabindex: "0", role: "region", "aria-label": label }, table);
}

function kpiTable(runs, kinds, answers) {
  const body = make("tbody", {});
  const box = make("input", { type: "checkbox", checked: isAll });
  const fill = () => {
    const shown = kinds.filter((kind) => {
      const values = answers.map((answer) => answer.kpis[kind.name]?.value);
      if (!values.some((value) => typeof value === "number")) return false;
      return isAll || FIRST.includes(kind.name) || new Set(values).size > 1;
    });
    shown.sort((a, b) => rank(a.name) - rank(b.name));
    body.replaceChildren(...shown.map((kind) => kpiRow(kind, answers.map((answer) => answer.kpis[kind.name]))));
  };
  box.addEventListener("change", () => {
    isAll = box.checked;
    keep();
    fill();
  });
  fill();
  const limits = make("tr", {}, make("th", { scope: "row" }, t("cmp.limits")), ...answers.map((answer) => make("td", { class: "sentence" }, limitsIn(answer.limits ?? ""))));
  return make("section", {}, make("h2", {}, t("cmp.kpis")), make("p", { class: "lead" }, t("cmp.kpis_lead")),
    make("label", { class: "switch" }, box, t("cmp.all")),
    scrolled(make("table", { class: "kpis" }, headRow(runs, t("cmp.kpi")), body, make("tfoot", {}, limits)), t("cmp.kpis")));
}

function rank(name) {
  const at = FIRST.indexOf(name);
  return at < 0 ? FIRST.length : at;
}

function kpiRow(kind, found) {
  const name = kpiName(kind.name);
  const first = found[0];
  const cells = found.map((each, index) => {
    const value = each?.value;
    const cell = make("td", {}, make("b", {}, figure(value, kind.unit)));
    if (typeof each?.p95 === "number") cell.append(make("small", {}, `P50 ${figure(each.p50, kind.unit)} · P95 ${figure(each.p95, kind.unit)}`));
    if (index && typeof value === "number" && typeof first?.value === "number") cell.append(difference(value, first.value, kind));
    return cell;
  });
  return make("tr", {}, make("th", { scope: "row", title: kind.sentence }, name, make("small", {}, unitWord(kind.unit))), ...cells);
}

/** How much a value is above or below the first one, with a word for what that means. */
function difference(value, first, kind) {
  const gap = value - first;
  const isSame = Math.abs(gap) <= 1e-9 * Math.max(Math.abs(value), Math.abs(first));
  if (isSame) return make("span", { class: "gap same" }, t("cmp.same"));
  const isBetter = kind.better === "neither" ? null : (kind.better === "less") === gap < 0;
  const word = isBetter === null ? "" : t(isBetter ? "cmp.better" : "cmp.worse");
  const sign = gap > 0 ? "+" : "−";
  const share = kind.unit !== "share" && first ? ` (${sign}${plain(Math.abs(gap / first) * 100, 1)} %)` : "";
  const text = `${sign}${figure(Math.abs(gap), kind.unit, true)}${share}`;
  return make("span", { class: `gap ${isBetter === null ? "other" : isBetter ? "better" : "worse"}` }, text, word && make("em", {}, word));
}

function lines(runs, until) {
  const holders = LINES.map((name) => make("figure", { class: "panel chartbox", "data-series": name }));
  const section = make("section", {}, make("h2", {}, t("cmp.lines")), make("p", { class: "lead" }, t("cmp.lines_lead")),
    make("div", { class: "overlays" }, ...holders));
  LINES.forEach(async (name, index) => {
    try {
      const series = await Promise.all(runs.map((run) => get(`/runs/${run.id}/series?name=${name}&from=0&to=${until}&points=400`)));
      overlay(holders[index], t(`series.${name}`), series, runs.map((run) => run.id), until);
    } catch (error) {
      holders[index].replaceChildren(make("p", { class: "problem" }, wordsOf(error)));
    }
  });
  return section;
}

// --- inputs as lines --------------------------------------------------------------------------------------

/** Every value of a scenario under its dotted path, written out. @returns {Map<string, string>} */
function flatten(values, before = "", found = new Map()) {
  for (const [key, value] of Object.entries(values)) {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) flatten(value, `${before}${key}.`, found);
    else found.set(before + key, value === null ? "–" : typeof value === "string" ? value : JSON.stringify(value));
  }
  return found;
}

async function begin() {
  pages("compare");
  translate();
  document.title = `${t("compare")} · meterhouse`;
  const title = make("div", { class: "title" }, make("div", {}, make("h2", {}, t("compare")), make("p", { class: "lead" }, t("cmp.lead"))));
  try {
    const { runs } = await get("/runs", { limit: 200 });
    if (!query.has("runs")) chosen = runs.filter((run) => run.t_s > 0).slice(0, 2).map((run) => run.id).reverse();
    if (!runs.length) {
      place.replaceChildren(title, make("p", { class: "empty panel" }, t("cmp.none")));
      return;
    }
    place.replaceChildren(title, picker(runs), make("div", { id: "result", "aria-live": "polite" }));
    await show(runs);
  } catch (error) {
    place.replaceChildren(title, make("p", { class: "problem", role: "alert" }, wordsOf(error)));
  }
}

begin();
