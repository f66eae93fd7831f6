/**
 * Compare: two to six columns side by side. What differs in their inputs, their KPIs with the difference from the
 * first, and their lines over one another. Runs of one scenario with several seeds are one column: their mean and
 * its interval. Runs that have come to different instants are compared at the earliest of these, so that none has
 * had more time.
 */

import { get, readyRun, wordsOf } from "./api.js";
import { chart, valueAt } from "./chart.js";
import { lineOf } from "./history.js";
import { address, said, t, translate } from "./i18n.js";
import { make } from "./make.js";
import { figure, kpiName, plain, unitWord } from "./kpiwords.js";
import { pages } from "./nav.js";
import { columnsOf, interval, overlaps, pairedGap } from "./replications.js";
import { node } from "./svg.js";

/** @typedef {import("./replications.js").Column} Column */

const MOST = 6;
const MOST_RUNS = 60;
const POINTS = 200;
const LINES = [
  { name: "occupancy", title: "card.occupancy", kind: "share" }, { name: "queue", title: "card.queue", kind: "count" },
  { name: "boxes_in_per_h", title: "line.boxes_in", kind: "count" }, { name: "boxes_out_per_h", title: "line.boxes_out", kind: "count" },
  { name: "robot_utilisation", title: "card.robot_utilisation", kind: "share" }, { name: "lead_time_p95_s", title: "line.lead", kind: "time" },
];
const FIRST = [
  "orders", "order_cycle_time_s", "late_orders", "put_away_time_s", "boxes_per_hour", "robot_utilisation", "people_utilisation",
  "fill_boxes", "overdue_meters", "person_hours_per_1000_meters", "faults", "digs_per_retrieval",
];

const place = document.getElementById("compare");
const query = new URLSearchParams(location.search);
let chosen = (query.get("runs") ?? "").split(",").filter(Boolean).slice(0, MOST_RUNS);
let isAll = query.get("all") === "1";
let asked = 0;

/** @param {any[]} runs */
function picker(runs) {
  const boxes = runs.map((run) => make("input", { type: "checkbox", checked: chosen.includes(run.id), value: run.id }));
  /** A run more is possible while it makes no seventh column. */
  const limit = () => boxes.forEach((box, k) => {
    box.disabled = !box.checked && columnsOf([...chosenOf(runs), runs[k]]).length > MOST;
  });
  const rows = runs.map((run, k) => {
    boxes[k].addEventListener("change", () => {
      chosen = boxes[k].checked ? [...chosen, run.id] : chosen.filter((id) => id !== run.id);
      limit();
      keep();
      show(runs);
    });
    return make("label", { class: "choice" }, boxes[k], make("b", {}, run.id), make("span", {}, run.name),
      make("small", {}, `${t("more.seed")} ${run.seed} · ${t(`run.${run.state}`)} · ${Math.round(run.progress * 100)} %`));
  });
  limit();
  return make("details", { class: "picker panel", open: chosen.length < 2 },
    make("summary", {}, t("cmp.choose")), make("p", { class: "note" }, t("cmp.choose_note")),
    make("div", { class: "choices" }, ...rows));
}

const chosenOf = (runs) => chosen.map((id) => runs.find((run) => run.id === id)).filter(Boolean);

function keep() {
  const now = new URLSearchParams(location.search);
  if (chosen.length) now.set("runs", chosen.join(","));
  else now.delete("runs");
  if (isAll) now.set("all", "1");
  else now.delete("all");
  history.replaceState(null, "", `?${now.toString().replaceAll("%2C", ",")}`);
}

/** @param {any[]} runs all that there are */
async function show(runs) {
  const mine = (asked += 1);
  const result = place.querySelector("#result");
  if (columnsOf(chosenOf(runs)).length < 2) {
    result.replaceChildren(make("p", { class: "empty" }, t("cmp.two")));
    return;
  }
  result.setAttribute("aria-busy", "true");
  try {
    const now = await Promise.all(chosenOf(runs).map((run) => readyRun(run.id)));
    const until = Math.min(...now.map((run) => run.t_s));
    const [kinds, kpis, inputs] = await Promise.all([
      get("/kpis"),
      Promise.all(now.map((run) => get(`/runs/${run.id}/kpis`, { at: until }))),
      Promise.all(now.map((run) => get(`/runs/${run.id}/scenario`))),
    ]);
    if (mine !== asked) return;
    const told = new Map(now.map((run, k) => [run.id, { kpis: kpis[k], inputs: inputs[k] }]));
    const columns = columnsOf(now);
    const of = (column, part) => column.runs.map((run) => told.get(run.id)[part]);
    const first = columns.map((column) => of(column, "inputs")[0]);
    result.replaceChildren(heads(columns, until), inputTable(columns, first), kpiTable(columns, kinds.kpis, columns.map((column) => of(column, "kpis"))));
    result.append(lines(columns, until, first[0].begun_with.time.start));
  } catch (error) {
    if (mine === asked) result.replaceChildren(make("p", { class: "problem", role: "alert" }, wordsOf(error)));
  } finally {
    if (mine === asked) result.removeAttribute("aria-busy");
  }
}

// --- the parts --------------------------------------------------------------------------------------------

/** A column's mark: the dash pattern and colour of its lines. */
function mark(index) {
  return node("svg", { viewBox: "0 0 28 8", class: "mark", "aria-hidden": "true" }, node("line", { x1: 0, x2: 28, y1: 4, y2: 4, class: `line l${index}` }));
}

/** @param {Column[]} columns */
function heads(columns, until) {
  const cards = columns.map(({ runs, name }, index) => make("div", { class: "panel runhead" },
    make("p", { class: "kicker" }, mark(index), " ", name),
    make("h3", {}, make("a", { href: address("/ui/", { run: runs[0].id }) }, runs[0].name)),
    make("p", { class: "note" }, `${runs[0].scenario.name} · ${runs.length > 1 ? t("cmp.seeds", { seeds: seedsOf(runs) }) : `${t("more.seed")} ${runs[0].seed} · ${t(`run.${runs[0].state}`)}`}`),
    make("p", { class: "note" }, t("cmp.n", { n: runs.length }))));
  const all = columns.flatMap((column) => column.runs);
  const isUneven = all.some((run) => Math.abs(run.t_s - until) > 0.5);
  const demands = columns.map((column) => column.runs.map((run) => run.demand_digest));
  const words = [t(isUneven ? "cmp.uneven" : "cmp.until", { at: instant(until) })];
  if (all.length === columns.length) words.push(t("cmp.single"));
  else {
    words.push(t("cmp.replicated"), t("cmp.overlap_note"));
    if (columns.some((column) => column.runs.length === 1)) words.push(t("cmp.mixed"));
    if (columns.slice(1).some((column) => pairedGap(columns[0], column, () => 0))) words.push(t("cmp.paired_note"));
  }
  if (demands.every((each) => each.every((digest) => digest !== null))) {
    const isSame = new Set(demands.map((each) => [...each].sort().join())).size === 1;
    words.push(t(isSame ? "cmp.same_demand" : "cmp.other_demand"));
  }
  return make("section", { "aria-label": t("cmp.runs") }, make("div", { class: "runheads" }, ...cards), make("div", { class: "panel notes" }, ...words.map((text) => make("p", {}, text))));
}

/** Seeds in order, those that follow one another as from–to. */
function seedsOf(runs) {
  const seeds = runs.map((run) => run.seed).sort((a, b) => a - b);
  const isRow = seeds.length > 2 && seeds.every((seed, k) => seed === seeds[0] + k);
  return isRow ? `${seeds[0]}–${seeds[seeds.length - 1]}` : seeds.join(", ");
}

/** Simulated seconds since midnight of the first day, as day and time of day. */
function instant(seconds) {
  const at = new Date(Math.floor(seconds) * 1000).toISOString();
  return t("cmp.instant", { day: Math.floor(seconds / 86400) + 1, clock: at.slice(11, 16) });
}

function inputTable(columns, inputs) {
  const flat = inputs.map((each) => flatten(each.begun_with));
  const paths = [...new Set(flat.flatMap((each) => [...each.keys()]))]
    .filter((path) => path !== "name" && path !== "question" && path !== "seed")
    .filter((path) => new Set(flat.map((each) => each.get(path) ?? "–")).size > 1)
    .sort();
  const changed = inputs.map((each, index) => {
    const [then, now] = [flat[index], flatten(each.now)];
    return [...now.keys()].filter((path) => now.get(path) !== then.get(path)).map((path) => `${path}: ${then.get(path) ?? "–"} → ${now.get(path)}`);
  });
  const rows = paths.map((path) => make("tr", {}, make("th", { scope: "row" }, make("code", {}, path)),
    ...flat.map((each, index) => make("td", { class: index && each.get(path) !== flat[0].get(path) && "differs" }, folded(each.get(path) ?? "–")))));
  if (changed.some((each) => each.length)) {
    rows.push(make("tr", {}, make("th", { scope: "row" }, t("cmp.midrun")),
      ...changed.map((each) => make("td", {}, each.length ? make("ul", {}, ...each.map((text) => make("li", {}, text))) : t("cmp.nothing")))));
  }
  const inside = rows.length
    ? scrolled(make("table", { class: "inputs" }, headRow(columns, t("cmp.input")), make("tbody", {}, ...rows)), t("cmp.inputs"))
    : make("p", { class: "empty" }, t("cmp.same_inputs"));
  return make("section", {}, make("h2", {}, t("cmp.inputs")), make("p", { class: "lead" }, t("cmp.inputs_lead")), inside);
}

/** A long value is folded up. @param {string} text */
function folded(text) {
  return text.length < 60 ? text : make("details", {}, make("summary", {}, `${text.slice(0, 28)} …`), text);
}

function headRow(columns, first) {
  return make("thead", {}, make("tr", {}, make("th", { scope: "col" }, first),
    ...columns.map(({ runs, name }, index) => make("th", { scope: "col" }, mark(index), " ", name, make("small", {}, runs[0].name), !index && make("small", {}, t("cmp.base"))))));
}

function scrolled(table, label) {
  return make("div", { class: "scroll panel", tabindex: "0", role: "region", "aria-label": label }, table);
}

/** @param {Column[]} columns @param {any[][]} answers of each column's runs */
function kpiTable(columns, kinds, answers) {
  const body = make("tbody", {});
  const box = make("input", { type: "checkbox", checked: isAll });
  const valuesOf = (name) => answers.map((each) => each.map((answer) => answer.kpis[name]?.value));
  const fill = () => {
    const shown = kinds.filter(({ name }) => {
      const values = valuesOf(name).flat();
      return values.some((value) => typeof value === "number") && (isAll || FIRST.includes(name) || new Set(values).size > 1);
    });
    shown.sort((a, b) => rank(a.name) - rank(b.name));
    body.replaceChildren(...shown.map((kind) => kpiRow(columns, kind, answers)));
  };
  box.addEventListener("change", () => {
    isAll = box.checked;
    keep();
    fill();
  });
  fill();
  const limits = make("tr", {}, make("th", { scope: "row" }, t("cmp.limits")), ...answers.map((each, index) => make("td", { class: "sentence" },
    ...each.slice(0, 3).map((answer, k) => make("p", {}, each.length > 1 ? t("cmp.limits_of", { run: columns[index].runs[k].id, sentence: said.limits(answer.limits ?? "") }) : said.limits(answer.limits ?? ""))))));
  return make("section", {}, make("h2", {}, t("cmp.kpis")), make("p", { class: "lead" }, t("cmp.kpis_lead")),
    make("label", { class: "switch" }, box, t("cmp.all")),
    scrolled(make("table", { class: "kpis" }, headRow(columns, t("cmp.kpi")), body, make("tfoot", {}, limits)), t("cmp.kpis")));
}

function rank(name) {
  const at = FIRST.indexOf(name);
  return at < 0 ? FIRST.length : at;
}

function kpiRow(columns, kind, answers) {
  const found = answers.map((each) => interval(each.map((answer) => answer.kpis[kind.name]?.value), 0, kind.unit === "share" ? 1 : Infinity));
  const cells = answers.map((each, index) => {
    const [own, first] = [found[index], found[0]];
    const cell = make("td", {}, make("b", {}, figure(own?.mean, kind.unit)));
    const { p50, p95 } = each[0].kpis[kind.name] ?? {};
    if (own?.low !== undefined) cell.append(make("small", { class: "interval" }, `${figure(own.low, kind.unit)} – ${figure(own.high, kind.unit)}`));
    else if (each.length === 1 && typeof p95 === "number") cell.append(make("small", {}, `P50 ${figure(p50, kind.unit)} · P95 ${figure(p95, kind.unit)}`));
    if (!index || !own || !first) return cell;
    const valueOf = (run) => answers.flat()[columns.flatMap((column) => column.runs).indexOf(run)].kpis[kind.name]?.value;
    const gap = pairedGap(columns[0], columns[index], valueOf);
    const isUnsure = overlaps(first, own) && !(gap && gap.low * gap.high > 0);
    cell.append(difference(own.mean, first.mean, kind, isUnsure));
    if (gap && gap.low < gap.high) cell.append(make("small", { class: "pairs" }, t("cmp.paired", { low: signed(gap.low, kind), high: signed(gap.high, kind) })));
    if (overlaps(first, own)) cell.append(make("small", { class: "overlap" }, t("cmp.overlap")));
    return cell;
  });
  return make("tr", {}, make("th", { scope: "row", title: kind.sentence }, kpiName(kind.name), make("small", {}, unitWord(kind.unit))), ...cells);
}

/** How much a value is above or below the first one, with a word for what that means, pale when noise could turn it. */
function difference(value, first, kind, isUnsure) {
  const gap = value - first;
  const isSame = Math.abs(gap) <= 1e-9 * Math.max(Math.abs(value), Math.abs(first));
  if (isSame) return make("span", { class: "gap" }, t("cmp.same"));
  const isBetter = kind.better === "neither" ? null : (kind.better === "less") === gap < 0;
  const word = isBetter === null ? null : make("em", {}, t(isBetter ? "cmp.better" : "cmp.worse"));
  const share = kind.unit !== "share" && first ? ` (${gap > 0 ? "+" : "−"}${plain(Math.abs(gap / first) * 100, 1)} %)` : "";
  return make("span", { class: `gap ${isBetter === null || isUnsure ? "other" : isBetter ? "better" : "worse"}` }, signed(gap, kind) + share, word);
}

const signed = (gap, { unit }) => `${gap > 0 ? "+" : "−"}${figure(Math.abs(gap), unit, true)}`;

/** @param {Column[]} columns */
function lines(columns, until, start) {
  const host = make("div", { class: "overlays" });
  const isReplicated = columns.some((column) => column.runs.length > 1);
  LINES.forEach(async ({ name, title, kind }) => {
    const drawn = chart(host, { id: name, title: t(title), kind, unit: "", lines: columns.map((column) => ({ name: column.name, label: column.name })) });
    try {
      const told = await Promise.all(columns.map((column) => Promise.all(column.runs.map((run) => get(`/runs/${run.id}/series`, { name, from: 0, to: until, points: 2 * POINTS })))));
      drawn.update(told.map((each) => (each.length > 1 ? mean(each.map(lineOf), until) : lineOf(each[0]))), 0, until, start);
    } catch (error) {
      drawn.box.append(make("p", { class: "problem" }, wordsOf(error)));
    }
  });
  return make("section", {}, make("h2", {}, t("cmp.lines")), isReplicated && make("p", { class: "lead" }, t("cmp.band")), host);
}

/** Lines of several runs as one: their mean, least and greatest at equal steps. */
function mean(several, until) {
  const at = Array.from({ length: POINTS }, (_, k) => ((k + 0.5) / POINTS) * until);
  const values = at.map((seconds) => several.map((line) => valueAt(line, seconds)).filter((value) => value !== null));
  const of = (what) => values.map((each) => (each.length ? what(each) : null));
  return {
    t: at, isSteps: false, last: of((each) => each.reduce((sum, value) => sum + value, 0) / each.length), min: of((each) => Math.min(...each)), max: of((each) => Math.max(...each)),
  };
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
