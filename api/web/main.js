/**
 * The Live page: a run while it goes on. What another person needs in order to see the same stands in the
 * address: run, chosen thing, colour, view, instant, language.
 */

import { all, get, post, send, wordsOf } from "./api.js";
import { cards } from "./cards.js";
import { chart, stateBars } from "./chart.js";
import { colours } from "./colour.js";
import { detail, KINDS } from "./detail.js";
import { ask } from "./dialog.js";
import { History, lineOf } from "./history.js";
import { address, clock, lang, number, said, t, translate } from "./i18n.js";
import { link, opened } from "./link.js";
import { follow } from "./live.js";
import { button, make } from "./make.js";
import { Model } from "./model.js";
import { pages } from "./nav.js";
import { racks2d } from "./racks2d.js";
import { search } from "./search.js";
import { steer } from "./steer.js";
import { timeline } from "./timeline.js";

const SPEEDS = [1, 5, 10, 30, 60, 120, 600, 1800, 3600, "max"];
const STEPS = { 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 28800: "8 h" };
const WINDOWS = { "1h": 3600, "8h": 28800, "24h": 86400, all: Infinity };
const CHARTS = [
  { id: "occupancy", title: "card.occupancy", kind: "share", unit: "%", lines: ["occupancy"] },
  { id: "queue", title: "card.queue", kind: "count", unit: "tasks", lines: ["queue"] },
  { id: "boxes", title: "card.boxes_per_h", kind: "count", unit: "boxes/h", lines: ["boxes_in_per_h", "boxes_out_per_h"] },
  { id: "lead", title: "chart.lead", kind: "time", unit: "min", lines: ["lead_time_p50_s", "lead_time_p90_s", "lead_time_p95_s"] },
];
const LISTS_MS = 3000;
const CHARTS_MS = 500;

const robotName = (number_) => `robot-${number_ + 1}`;
const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const model = new Model();
const history_ = new History();
const state = { name: "connecting", speed: 0, want: 60, facts: 0, isThere: true, isOver: false };
/** Lines of the charts over the chosen window, where the server has told them more finely than the socket. */
const windowed = new Map();
let chosenWindow = query.get("window") in WINDOWS ? query.get("window") : "8h";
let pastFigures = null;
let chartsDrawn = 0;
let listsDrawn = 0;
let runId = query.get("run") ?? "current";

/** What the parts of the page share. */
const page = {
  model,
  figures: null,
  scenario: null,
  policies: null,
  skus: [],
  /** Done when the run's scenario is known. @type {Promise<void>} */
  learned: Promise.resolve(),
  path: (part) => `/runs/${runId}${part}`,
  at: () => model.past?.t ?? null,
  get: (part, asked = {}) => get(page.path(part), { at: page.at(), ...asked }),
  isTruth: () => colour.chosen === "truth",
  open,
  past,
  say,
  mark,
  learn,
  redraw: () => racks.update(),
  steer: (name, given) => steering.ask(name, given),
};

translate();
pages("live");
const racks = racks2d(byId("grid"), model, { choose: (slot) => open("slot", model.slots[slot].slot), robot: (number_) => open("robot", robotName(number_)) });
const strip = cards(byId("cards"), openCard);
const colour = colours(page, byId("by"), byId("legend"), byId("side"));
const pane = detail(page, byId("detail"));
const steering = steer(page, byId("steer"), byId("commands"));
const time = timeline(page, byId("timeline"));
search(page, byId("find"), byId("found"));
const charts = CHARTS.map((each) => ({
  ...each,
  drawn: chart(byId("charts"), {
    id: each.id, title: t(each.title), unit: each.unit === "%" ? "%" : t(`unit.${each.unit}`), kind: each.kind,
    lines: each.lines.map((name) => ({ name, label: t(`line.${name}`) })),
  }, each.id === "lead" ? () => open("lead", "") : null),
}));

// --- what is open, and the address -----------------------------------------------------------------------

function put(name, value) {
  if (value === null || value === "") query.delete(name);
  else query.set(name, value);
  const text = query.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

/** Open a thing in the detail pane; null closes it. */
function open(kind, name, isAsked = true) {
  for (const each of KINDS) put(each, each === kind ? name || "1" : null);
  model.chosen = kind === "slot" ? model.index.get(name) ?? -1 : -1;
  model.marks = new Map();
  racks.choose();
  solid?.update();
  if (kind === null) pane.close();
  else pane.show(kind, name);
  if (kind !== null && isAsked && innerWidth <= 1060) byId("detail").scrollIntoView({ block: "nearest" });
}

/** Open what the address names. */
function openAsked() {
  const kind = KINDS.find((each) => query.has(each));
  if (kind) open(kind, kind === "lead" ? "" : query.get(kind), false);
}

function mark(marks) {
  model.marks = marks;
  racks.choose();
  solid?.update();
}

/** Show an instant of the past, or the run again. */
function past(view, figures) {
  model.past = view;
  pastFigures = figures;
  put("at", view === null ? null : String(view.t));
  racks.update();
  solid?.update();
  strip.update(figures ?? page.figures);
  colour.refresh(true).catch(say);
  pane.refresh(true);
  header();
  drawCharts();
}

function say(words, isBad = true) {
  const isError = words instanceof Error;
  const notice = byId("notice");
  notice.className = isError || isBad ? "notice bad" : "notice";
  notice.textContent = isError ? wordsOf(words) : words;
  notice.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { notice.hidden = true; }, 9000);
}

// --- the socket ------------------------------------------------------------------------------------------

function whole(message) {
  const isNew = model.take(message);
  history_.take(message.snapshot.points);
  windowed.clear();
  takeHead(message);
  if (isNew) {
    page.learned = learn().then(openAsked);
    fetchWindow();
  }
  else racks.update();
  if (message.k) takeFigures(message.k);
}

/** Slots that have changed since the last drawing. @type {Set<number>} */
const changed = new Set();

function frame(message) {
  for (const slot of model.follow(message)) changed.add(slot);
  takeHead(message);
  if (message.k) takeFigures(message.k);
}

function takeHead({ state: name, speed, want, facts }) {
  Object.assign(state, { name, speed, want, facts, isOver: ["finished", "stopped", "failed", "interrupted"].includes(name) });
}

function takeFigures(figures) {
  page.figures = figures;
  if (figures.over_age) model.old = [figures.over_age.old.days, figures.over_age.too_old.days];
  history_.add(figures);
}

function draw() {
  time.follow(model.live.t);
  if (model.past === null) {
    racks.update([...changed]);
    solid?.update();
    strip.update(page.figures);
    if (page.figures?.limits) byId("limits").lastElementChild.textContent = said.limits(page.figures.limits);
  }
  changed.clear();
  header();
  const now = performance.now();
  if (now - chartsDrawn > CHARTS_MS) {
    chartsDrawn = now;
    drawCharts();
    colour.refresh(false, state.facts).catch(() => {});
    pane.refresh(false, state.facts);
  }
  if (now - listsDrawn > LISTS_MS) {
    listsDrawn = now;
    lists();
  }
}

function connection(isThere) {
  state.isThere = isThere;
  header();
}

/** What does not change of a run, or only by command: its scenario, where its ports are, its SKUs. */
async function learn() {
  try {
    const told = await get(page.path("/scenario"));
    page.scenario = told.now;
    model.layout = { ...model.layout, ...told.now.layout };
    page.skus = told.now.skus.map((sku) => sku.name);
  } catch (error) {
    say(error);
  }
  racks.build();
  racks.choose();
  get(page.path("/series"), { name: "over_age_150" }).then((series) => history_.before(series)).catch(() => {});
  await colour.choose(colour.chosen === "fill" ? query.get("colour") ?? "fill" : colour.chosen);
  if (query.has("at")) time.go(Number(query.get("at")));
  steering.list();
}

// --- header ----------------------------------------------------------------------------------------------

function header() {
  const name = !state.isThere ? "lost" : model.past ? "past" : state.name;
  const pill = byId("state");
  if (pill.dataset.state !== name) {
    pill.dataset.state = name;
    pill.textContent = t(`run.${name}`);
    document.title = `${t(`run.${name}`)} · ${model.name || "meterhouse"}`;
  }
  byId("clock").textContent = clock(model.shown.t, model.start);
  const isRunning = state.name === "running";
  const go = byId("go");
  const words = t(isRunning ? "pause" : "start");
  if (go.textContent !== words) go.textContent = words;
  go.disabled = state.isOver || !["running", "paused"].includes(state.name);
  byId("step").disabled = isRunning || go.disabled;
  byId("reset").disabled = state.name === "connecting";
  const slider = byId("speed");
  slider.disabled = state.isOver;
  if (document.activeElement !== slider) slider.value = String(placeOf(state.want));
  pace();
}

const placeOf = (want) => (want === null || want === "max" ? SPEEDS.length - 1 : SPEEDS.reduce((best, each, k) => (Math.abs(each - want) < Math.abs(SPEEDS[best] - want) ? k : best), 0));
const words = (speed) => (speed === "max" || speed === null ? t("max") : `×${number(speed, speed < 10 ? 1 : 0)}`);

function pace() {
  const slider = byId("speed");
  const wanted = document.activeElement === slider ? SPEEDS[slider.value] : state.want;
  const isRunning = state.name === "running";
  const isBehind = isRunning && state.speed > 0 && (wanted === null || wanted === "max" || state.speed < 0.9 * wanted);
  byId("pace").textContent = isBehind ? t("pace", { want: words(wanted), reached: words(Math.round(state.speed)) }) : words(wanted);
  slider.setAttribute("aria-valuetext", words(wanted));
}

const change = (body) => send("PATCH", page.path(""), body).catch(say);

function toggle() {
  if (!byId("go").disabled) change({ state: state.name === "running" ? "paused" : "running" });
}

byId("go").addEventListener("click", toggle);
byId("step").addEventListener("click", () => change({ step_s: Number(byId("step-size").value) }));
byId("step").textContent = t("step");
byId("step-size").replaceChildren(...Object.entries(STEPS).map(([seconds, label]) => make("option", { value: seconds, selected: seconds === "60" }, t(`step.${label.replace(" ", "")}`))));
byId("speed").addEventListener("change", () => change({ speed: SPEEDS[byId("speed").value] }));
byId("speed").addEventListener("input", pace);
byId("reset").addEventListener("click", askReset);

/** Begin the same scenario and seed anew; the run at hand stops and stays in the list. */
function askReset() {
  ask({ id: "begin-again", title: t("reset.title"), yes: t("reset") }, [make("p", {}, t("reset.what"))], async () => {
    const [run, values] = await Promise.all([get(page.path("")), get(page.path("/scenario"))]);
    if (!state.isOver) await send("PATCH", page.path(""), { state: "stopped" });
    const begun = await post("/runs", { scenario: values.begun_with, seed: run.seed, name: run.name, mode: "live", speed: state.want ?? "max", state: "paused", current: run.current });
    location.assign(`/ui/${addressOf(begun.id)}`);
  });
}

function addressOf(run) {
  const there = new URLSearchParams(query);
  there.set("run", run);
  for (const name of [...KINDS, "at"]) there.delete(name);
  return `?${there}`;
}

async function listRuns() {
  const told = await get("/runs", { limit: 50 }).catch(() => ({ runs: [] }));
  const select = byId("runs");
  const own = told.runs.find((run) => run.id === model.run) ?? null;
  select.replaceChildren(...told.runs.map((run) => make("option", { value: run.id }, `${run.id} · ${run.name} · ${t(`run.${run.state}`)}`)));
  if (own) select.value = own.id;
}

byId("runs").addEventListener("change", (event) => location.assign(`/ui/${addressOf(event.target.value)}`));
byId("runs").addEventListener("pointerdown", listRuns);

// --- charts and lists ------------------------------------------------------------------------------------

byId("windows").replaceChildren(...Object.keys(WINDOWS).map((name) => button(t(`window.${name}`), (event) => {
  chosenWindow = name;
  put("window", name === "8h" ? null : name);
  for (const each of byId("windows").children) each.setAttribute("aria-pressed", String(each === event.currentTarget));
  windowed.clear();
  fetchWindow();
}, { "aria-pressed": String(name === chosenWindow) })));

/** The stretch of time that the charts show. */
function stretch() {
  const to = model.live.t;
  return [Math.max(0, to - WINDOWS[chosenWindow]), to];
}

/** Ask for the lines of the chosen window as finely as the server has them. */
async function fetchWindow() {
  const [from, to] = stretch();
  const names = CHARTS.flatMap((each) => each.lines);
  try {
    const told = await Promise.all(names.map((name) => get(page.path("/series"), { name, from, to, points: 600 })));
    told.forEach((series, k) => windowed.set(names[k], { line: lineOf(series), to: series.to_s }));
  } catch (error) {
    say(error);
  }
  drawCharts();
}

/** A line of the window: finely as far as the server has told it, then what has come since. */
function lineIn(name) {
  const whole_ = history_.line(name);
  const fine = windowed.get(name);
  if (!fine) return whole_;
  const since = whole_.t.findIndex((at) => at > fine.to);
  if (since < 0) return fine.line;
  const join = (a, b) => [...a, ...b.slice(since)];
  return { t: join(fine.line.t, whole_.t), min: join(fine.line.min, whole_.min), max: join(fine.line.max, whole_.max), last: join(fine.line.last, whole_.last), isSteps: fine.line.isSteps };
}

function drawCharts() {
  const [from, to] = stretch();
  for (const { lines, drawn } of charts) drawn.update(lines.map(lineIn), from, to, model.start, page.at());
  strip.draw((name, points) => history_.lately(name, points, 28800, model.shown.t));
}

let listing = false;
let listedFacts = -1;

/** What each robot did, the orders to look at, and the alerts; asked for again while the store goes on. */
async function lists() {
  if (listing || listedFacts === state.facts) return;
  listing = true;
  listedFacts = state.facts;
  const [from, to] = stretch();
  try {
    const [bars, late, open_, stock] = await Promise.all([
      get(page.path("/series"), { name: "robot_states", from, to, points: 400 }), all(page.path("/orders"), "orders", { status: "late" }),
      all(page.path("/orders"), "orders", { status: "open" }), get(page.path("/stock")),
    ]);
    stateBars(byId("bars"), bars, model.start);
    orders(late, open_);
    alerts(stock);
    pane.idle(stock);
  } catch {
    listedFacts = -1; // the next look comes soon; a lost connection is said in the head
  } finally {
    listing = false;
  }
}

function fill(host, rows, none) {
  const top = host.scrollTop;
  host.replaceChildren(rows.length ? make("ul", {}, ...rows) : make("p", { class: "muted" }, none));
  host.scrollTop = top;
}

function orders(late, open_) {
  const row = (order, words, tone) => make("li", {}, link("order", order.order, `${t("kind.order")} ${order.order}`), ` ${order.station} · ${number(order.meters)} ${t("unit.meters")} `, make("span", { class: `badge ${tone}` }, words));
  fill(byId("orders"), [
    ...late.slice(-20).reverse().map((order) => row(order, t("order.late"), "bad")),
    ...open_.filter((order) => !order.late).slice(0, 20).map((order) => row(order, t(`order.${order.status}`), order.status === "short" ? "warn" : "")),
  ], t("orders.none"));
}

function alerts(stock) {
  const k = page.figures?.alerts;
  const rows = stock.alerts.map((alert) => make("li", {}, make("span", { class: `badge ${alert.level === "red" ? "bad" : "warn"}` }, t(`alert.${alert.kind}`)), " ", alertWords(alert)));
  if (k?.robots_down) rows.unshift(make("li", {}, make("span", { class: "badge bad" }, t("alert.robots_down")), ` ${number(k.robots_down)}`));
  for (const kind of ["slots_held", "slots_blocked"]) if (k?.[kind]) rows.push(make("li", {}, make("span", { class: "badge warn" }, t(`alert.${kind}`)), ` ${number(k[kind])}`));
  fill(byId("alerts"), rows, t("alerts.none"));
}

function alertWords({ key, text, found, limit }) {
  return lang === "en" ? text : t("alert.found", { key, found: number(found), limit: number(limit) });
}

for (const name of ["orders", "alerts"]) {
  byId(name).addEventListener("click", (event) => {
    const found = opened(event);
    if (found) open(...found);
  });
}

/** What a click on a card opens. */
function openCard(name) {
  if (name === "lead_time") return open("lead", "");
  if (name === "over_age") return colour.choose("age").then((chosen) => put("colour", chosen));
  const there = { occupancy: "chart-occupancy", queue: "chart-queue", boxes_per_h: "chart-boxes", robot_utilisation: "bars-title", alerts: "alerts-title" }[name];
  byId(there)?.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

// --- views -----------------------------------------------------------------------------------------------

/** The view from above, when somebody has asked for it. @type {{update: () => void, pick: (x: number, y: number) => number | null, robot: (x: number, y: number) => number | null, view: (name: string) => void, dispose: () => void} | null} */
let solid = null;

async function view(name) {
  const is3d = name === "3d";
  put("view", is3d ? "3d" : null);
  byId("tab-2d").setAttribute("aria-selected", String(!is3d));
  byId("tab-3d").setAttribute("aria-selected", String(is3d));
  byId("tab-2d").tabIndex = is3d ? -1 : 0;
  byId("tab-3d").tabIndex = is3d ? 0 : -1;
  byId("racks").hidden = is3d;
  byId("solid").hidden = !is3d;
  if (!is3d) {
    solid?.dispose();
    solid = null;
    byId("solid").replaceChildren();
    racks.update();
    return;
  }
  if (solid) return;
  const { racks3d } = await import("./racks3d.js");
  const canvas = make("canvas", { role: "img", "aria-label": t("racks.solid") });
  const buttons = make("span", { class: "views joined" }, ...["front", "above", "reset"].map((each) => button(t(`view.${each}`), () => solid?.view(each))));
  byId("solid").replaceChildren(canvas, buttons);
  solid = racks3d(canvas, model);
  solid.update();
  canvas.addEventListener("click", (event) => {
    const bounds = canvas.getBoundingClientRect();
    const at = [event.clientX - bounds.left, event.clientY - bounds.top];
    const [robot, slot] = [solid.robot(...at), solid.pick(...at)];
    if (robot !== null) open("robot", robotName(robot));
    else if (slot !== null) open("slot", model.slots[slot].slot);
  });
}

for (const name of ["2d", "3d"]) {
  byId(`tab-${name}`).addEventListener("click", () => view(name));
  byId(`tab-${name}`).addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = name === "2d" ? "3d" : "2d";
    view(other);
    byId(`tab-${other}`).focus();
  });
}
byId("by").addEventListener("change", async (event) => put("colour", await colour.choose(event.target.value).then((chosen) => (chosen === "fill" ? null : chosen))));

document.addEventListener("keydown", (event) => {
  const isField = /^(INPUT|SELECT|TEXTAREA|BUTTON|A|SUMMARY)$/.test(document.activeElement?.tagName ?? "") || document.querySelector("dialog[open]");
  if (event.key === "/" && !document.querySelector("dialog[open]") && !/^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "")) {
    byId("find").focus();
    event.preventDefault();
  } else if (event.key === " " && !isField) {
    toggle();
    event.preventDefault();
  } else if (event.key === "Escape" && !document.querySelector("dialog[open]") && document.activeElement !== byId("find")) {
    if (pane.open) open(null, "");
  }
});

// --- begin -----------------------------------------------------------------------------------------------

async function begin() {
  try {
    const run = await get(`/runs/${runId}`);
    runId = run.id;
  } catch (error) {
    const told = await get("/runs", { limit: 1 }).catch(() => ({ runs: [] }));
    if (query.has("run") || !told.runs.length) {
      say(error);
      byId("notice").append(" ", make("a", { href: address("/ui/runs") }, t("sf.title")));
      clearTimeout(say.timer);
      return;
    }
    runId = told.runs[0].id;
  }
  follow(runId, { whole, frame, draw, connection });
  listRuns().then(() => { byId("runs").value = runId; });
  if (query.get("view") === "3d") view("3d");
  byId("wall").href = `?${new URLSearchParams({ ...Object.fromEntries(query), wall: "1" })}`;
  byId("wall").hidden = false;
  if (query.get("wall") === "1") import("./wall.js").then(({ wall }) => wall(page));
}

begin();
