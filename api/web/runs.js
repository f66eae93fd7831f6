/**
 * Runs: all that there are, with what went in beside what came out; a form that starts another one; and the
 * scenarios that ship, each with its question. A scenario file may be dropped anywhere on the page.
 */

import { get, readyRun, send, wordsOf } from "./api.js";
import { KINDS, download } from "./downloads.js";
import { address, clock, lang, locale, said, t, translate } from "./i18n.js";
import { figure, kpiName } from "./kpiwords.js";
import { button, make } from "./make.js";
import { pages } from "./nav.js";
import { columnsOf } from "./replications.js";
import { startForm } from "./startform.js";
import { TomlError, parse } from "./toml.js";

const KEY_KPIS = ["order_cycle_time_s", "late_orders", "robot_utilisation", "fill_boxes"];
const OUTPUTS = [
  "orders", ...KEY_KPIS, "put_away_time_s", "boxes_per_hour", "people_utilisation", "overdue_meters", "person_hours_per_1000_meters",
  "record_accuracy_location", "faults",
];
const MOST = 6;
const OVER = ["finished", "stopped", "failed", "interrupted"];
const LOOK_MS = 2000;

const place = document.getElementById("runs");
const chosen = new Set();
/** KPIs of runs that are over, which do not change any more. @type {Map<string, any>} */
const kept = new Map();
let shown = new URLSearchParams(location.search).get("show");
/** @type {any[]} */ let runs = [];
/** @type {ReturnType<typeof startForm>} */ let form;

// --- the list ---------------------------------------------------------------------------------------------

const list = make("tbody", {});
const compareLink = make("a", { class: "button", "aria-disabled": "true" }, t("compare"));
const note = make("p", { class: "note", "aria-live": "polite" });

async function look() {
  try {
    runs = (await get("/runs", { limit: 100 })).runs;
    draw();
    await Promise.all(runs.slice(0, 30).map(addKpis));
    note.textContent = runs.length ? "" : t("runs.none");
  } catch (error) {
    note.textContent = wordsOf(error);
  }
  setTimeout(() => (document.hidden ? document.addEventListener("visibilitychange", look, { once: true }) : look()), LOOK_MS);
}

/** @type {Map<string, {row: HTMLTableRowElement, told: string}>} */
const rows = new Map();

function draw() {
  const there = new Set(runs.map((run) => run.id));
  for (const [id, { row }] of rows) {
    if (there.has(id)) continue;
    row.remove();
    rows.delete(id);
    chosen.delete(id);
  }
  runs.forEach((run, index) => {
    const told = JSON.stringify([run.name, run.state, run.current, Math.round(run.progress * 1000), run.keep]);
    let held = rows.get(run.id);
    if (!held) rows.set(run.id, (held = { row: make("tr", { "data-run": run.id }), told: "" }));
    if (held.told !== told) {
      const focused = document.activeElement?.closest("tr") === held.row ? document.activeElement.className : null;
      held.row.replaceChildren(...cells(run));
      held.told = told;
      if (focused) held.row.querySelector(`.${focused.split(" ")[0]}`)?.focus();
      fill(run.id);
    }
    if (list.children[index] !== held.row) list.insertBefore(held.row, list.children[index] ?? null);
  });
  pick();
}

function cells(run) {
  const box = make("input", { type: "checkbox", class: "tick", checked: chosen.has(run.id), "aria-label": t("runs.choose", { run: run.id }) });
  box.addEventListener("change", () => {
    if (box.checked) chosen.add(run.id);
    else chosen.delete(run.id);
    pick();
  });
  const open = button(t("runs.details"), () => show(shown === run.id ? null : run.id), { class: "open", "aria-expanded": String(shown === run.id) });
  const bar = make("progress", { max: 1, value: run.progress, "aria-label": t("runs.progress") });
  return [
    make("td", { class: "pick" }, box),
    make("td", { class: "who" }, make("a", { href: address("/ui/", { run: run.id }) }, run.name), make("small", {}, `${run.id}${run.current ? ` · ${t("runs.current")}` : ""}`)),
    make("td", { "data-l2": t("more.scenario") }, run.scenario.name, make("small", {}, `${t("more.seed")} ${run.seed}`)),
    make("td", {}, make("span", { class: `state ${run.state}` }, t(`run.${run.state}`)), bar),
    make("td", { "data-l2": t("runs.length") }, t("age.days", { days: Math.round(run.end_s / 8640) / 10 }), make("small", {}, run.started_at ? new Date(run.started_at).toLocaleString(locale, { dateStyle: "short", timeStyle: "short" }) : "–")),
    ...KEY_KPIS.map((name) => make("td", { class: "n", "data-kpi": name, "data-l2": kpiName(name) }, "–")),
    make("td", {}, open),
  ];
}

async function addKpis(run) {
  const isOver = OVER.includes(run.state);
  const known = kept.get(run.id);
  if ((known?.isOver && isOver) || (!isOver && (!run.ready || !run.t_s)) || run.state === "failed") return;
  try {
    kept.set(run.id, { ...(await get(`/runs/${run.id}/kpis`)), isOver });
  } catch {
    return; // a run that is gone, or being rebuilt, has none
  }
  fill(run.id);
}

function fill(id) {
  const answer = kept.get(id);
  const row = rows.get(id)?.row;
  if (!answer || !row) return;
  for (const name of KEY_KPIS) {
    const { value, unit } = answer.kpis[name] ?? {};
    row.querySelector(`[data-kpi="${name}"]`).textContent = figure(value, unit);
  }
}

function pick() {
  const columns = columnsOf(runs.filter((run) => chosen.has(run.id))).length;
  const isRight = columns >= 2 && columns <= MOST;
  compareLink.setAttribute("aria-disabled", String(!isRight));
  if (isRight) compareLink.href = address("/ui/compare", { runs: [...chosen].join(",") }).replaceAll("%2C", ",");
  else compareLink.removeAttribute("href");
  compareLink.textContent = chosen.size ? t("runs.compare_n", { n: chosen.size }) : t("compare");
}

// --- one run ----------------------------------------------------------------------------------------------

const detail = make("div", { id: "detail" });

/** Show what went into a run beside what came out of it; nothing for null. @param {string | null} id */
async function show(id) {
  shown = id;
  const query = new URLSearchParams(location.search);
  if (id) query.set("show", id);
  else query.delete("show");
  history.replaceState(null, "", `?${query}`);
  for (const [each, { row }] of rows) row.querySelector(".open")?.setAttribute("aria-expanded", String(each === id));
  if (!id) {
    detail.replaceChildren();
    return;
  }
  try {
    const [run, inputs, outputs, standard] = await Promise.all([readyRun(id), ...["/scenario", "/kpis"].map((part) => readyRun(id).then(() => get(`/runs/${id}${part}`))), get("/scenarios/luoyang")]);
    if (shown !== id) return;
    detail.replaceChildren(panel(run, inputs, outputs, standard));
    detail.firstChild.scrollIntoView({ block: "nearest" });
    detail.querySelector("h2").focus();
  } catch (error) {
    detail.replaceChildren(make("p", { class: "problem", role: "alert" }, wordsOf(error)));
  }
}

function panel(run, inputs, outputs, standard) {
  const told = make("p", { class: "note", "aria-live": "polite" });
  const act = (word, kind, doing) => {
    const own = button(word, async () => {
      own.disabled = true;
      try {
        await doing();
      } catch (error) {
        told.textContent = wordsOf(error);
      }
      own.disabled = false;
    }, { class: kind });
    return own;
  };
  const isOn = !OVER.includes(run.state);
  const actions = make("div", { class: "buttons" },
    make("a", { class: "button main", href: address("/ui/", { run: run.id }) }, t("runs.open")),
    ...KINDS.filter((kind) => !isOn || kind !== "report").map((kind) => act(t(`dl.${kind}`), null, () => download(kind, run, (text) => { told.textContent = text; }))),
    isOn && act(t("runs.stop"), null, async () => {
      await send("PATCH", `/runs/${run.id}`, { state: "stopped" });
      await show(run.id);
    }),
    act(t("runs.again"), null, async () => { await useFile({ name: run.name, values: { ...inputs.begun_with, extends: "luoyang" } }); }),
    act(t("runs.delete"), "danger", async () => {
      if (!confirm(t("runs.delete_sure", { name: run.name, run: run.id }))) return;
      await send("DELETE", `/runs/${run.id}`);
      await show(null);
    }));
  const differs = different(inputs.begun_with, standard.values);
  const into = make("section", {}, make("h3", {}, t("runs.inputs")),
    pairs([[t("more.scenario"), run.scenario.name], [t("more.seed"), String(run.seed)], [t("runs.days"), t("age.days", { days: run.end_s / 86400 })], ...differs]),
    make("p", { class: "note" }, t("runs.inputs_note")));
  const out = make("section", {}, make("h3", {}, t("runs.outputs", { at: clock(outputs.t_s, inputs.begun_with.time.start, false) })),
    pairs(OUTPUTS.filter((name) => typeof outputs.kpis[name]?.value === "number").map((name) => {
      const { value, unit, p95 } = outputs.kpis[name];
      return [kpiName(name), `${figure(value, unit)}${typeof p95 === "number" ? ` · P95 ${figure(p95, unit)}` : ""}`];
    })),
    make("p", { class: "sentence" }, said.limits(outputs.limits ?? "")),
    run.digest && make("p", { class: "note digest" }, t("runs.digest"), " ", make("code", {}, run.digest)));
  return make("div", { class: "panel onerun" },
    make("header", {}, make("h2", { tabindex: "-1" }, run.name), make("span", { class: `state ${run.state}` }, t(`run.${run.state}`)), make("small", {}, run.id)),
    inputs.begun_with.question && make("p", { class: "question", lang: "en" }, inputs.begun_with.question),
    run.error && make("p", { class: "problem" }, run.error), actions, told, make("div", { class: "beside" }, into, out));
}

function pairs(found) {
  return make("table", { class: "pairs" }, make("tbody", {}, ...found.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)))));
}

/** Values of a scenario that the reference store has not, by path. */
function different(values, standard, before = "") {
  return Object.entries(values).flatMap(([key, value]) => {
    if (!before && ["name", "question", "seed"].includes(key)) return [];
    const other = standard?.[key];
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return different(value, other, `${before}${key}.`);
    return JSON.stringify(value) === JSON.stringify(other) ? [] : [[before + key, typeof value === "string" ? value : JSON.stringify(value)]];
  });
}

// --- starting one -----------------------------------------------------------------------------------------

const holder = make("div", {});
const starting = make("details", { class: "starting", id: "start" }, make("summary", {}, make("h2", {}, t("sf.title"))), make("p", { class: "lead" }, t("sf.lead")), holder);

async function use(scenario) {
  starting.open = true;
  await form.use(scenario);
  starting.scrollIntoView({ block: "start" });
  holder.querySelector("select").focus({ preventScroll: true });
}

async function useFile(file) {
  starting.open = true;
  await form.use(file.values.extends ?? "luoyang", file);
  starting.scrollIntoView({ block: "start" });
}

async function take(file) {
  const told = document.getElementById("dropped");
  try {
    if (file.size > 1e6) throw new Error(t("drop.large"));
    const text = await file.text();
    const values = file.name.endsWith(".json") ? JSON.parse(text) : parse(text);
    await useFile({ name: file.name, values });
    told.textContent = t("drop.taken", { file: file.name });
    told.className = "note";
  } catch (error) {
    told.className = "problem";
    told.textContent = error instanceof TomlError ? t("drop.line", { file: file.name, line: error.line, found: error.message }) : `${file.name}: ${wordsOf(error)}`;
  }
}

function dropping() {
  const input = make("input", { type: "file", accept: ".toml,.json", class: "hide", id: "file" });
  input.addEventListener("change", () => {
    if (input.files[0]) take(input.files[0]);
    input.value = "";
  });
  let depth = 0;
  const isFile = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (isFile(event)) document.body.classList.toggle("dropping", (depth += 1) > 0);
  });
  addEventListener("dragleave", (event) => {
    if (isFile(event)) document.body.classList.toggle("dropping", (depth -= 1) > 0);
  });
  addEventListener("dragover", (event) => {
    if (isFile(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    depth = 0;
    document.body.classList.remove("dropping");
    take(event.dataTransfer.files[0]);
  });
  return make("div", { class: "drop" }, make("p", {}, t("drop.here")), input, make("label", { for: "file", class: "button" }, t("drop.choose")), make("p", { id: "dropped", role: "status", class: "note" }));
}

// --- scenarios that ship ----------------------------------------------------------------------------------

function gallery(scenarios, standard) {
  /** What is asked for when a card comes into view. @type {Map<Element, () => Promise<void>>} */
  const seen = new Map();
  const watch = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((each) => each.isIntersecting)) {
      watch.unobserve(target);
      seen.get(target)().catch(() => undefined); // the card stays without its facts
    }
  });
  const cards = scenarios.map(({ name, sentence }) => {
    const facts = make("small", { class: "facts" });
    const chips = make("p", { class: "chips" });
    const card = make("article", { class: "panel scenario" }, make("h3", {}, name), make("p", { class: "asks", lang: "en" }, sentence), chips, facts, button(t("gal.start"), () => use(name)));
    seen.set(card, async () => {
      const { values } = await get(`/scenarios/${encodeURIComponent(name)}`);
      const { layout, time, robots, operation } = values;
      facts.textContent = [`${layout.rows} × ${layout.columns} × ${layout.levels}`, t("age.days", { days: time.days }),
        operation === "manual" ? t("gal.manual") : t("gal.robots", { n: robots.count })].join(" · ");
      const differs = different(values, standard).map(([path, value]) => `${path} = ${value.length > 24 ? "…" : value}`);
      chips.append(...differs.slice(0, 3).map((each) => make("code", {}, each)), ...(differs.length > 3 ? [make("small", {}, t("gal.more", { n: differs.length - 3 }))] : []));
    });
    watch.observe(card);
    return card;
  });
  return make("section", {}, make("h2", {}, t("gal.title")), make("p", { class: "lead" }, t("gal.lead")), make("div", { class: "gallery" }, ...cards));
}

// --- the twenty questions -----------------------------------------------------------------------------------

/** Each question with its answer and picture, where they are kept, and the command that answers it again. */
function questions(asked) {
  const cards = asked.map(({ number, question, base, command, answer, decided, caption, picture }) => make("article", { class: "panel scenario", id: `question-${number}` },
    make("h3", { lang: "en" }, `${number}. ${question}`),
    picture && make("a", { href: picture, target: "_blank" }, make("img", { src: picture, alt: caption, loading: "lazy", width: 645, height: 300 })),
    answer && make("p", { class: "asks", lang: "en" }, decided === false && lang !== "en" && make("b", { lang }, t("q.open"), " "), answer),
    make("p", { class: "chips" }, make("small", {}, t("q.again")), " ", make("code", {}, command)),
    button(t("q.start", { base }), () => use(base))));
  return make("section", {}, make("h2", {}, t("q.title")), make("p", { class: "lead" }, t("q.lead")), make("div", { class: "gallery wide" }, ...cards));
}

async function begin() {
  pages("runs");
  document.title = `${t("runs")} · meterhouse`;
  const heads = ["", t("more.name"), t("more.scenario"), t("box.status"), t("runs.length"), ...KEY_KPIS.map(kpiName), ""];
  const table = make("table", { class: "runlist" },
    make("thead", {}, make("tr", {}, ...heads.map((text, index) => (text ? make("th", { scope: "col", class: index >= 5 && "n" }, text) : make("td", {}))))), list);
  const jump = button(t("sf.title"), () => use("luoyang"), { class: "main" });
  place.replaceChildren(
    make("div", { class: "title" }, make("div", {}, make("h2", {}, t("runs")), make("p", { class: "lead" }, t("runs.lead"))), make("span", { class: "grow" }), compareLink, jump),
    make("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-label": t("runs") }, table), note, detail, starting, dropping());
  translate(document);
  try {
    const [schema, policies, { scenarios }, asked] = await Promise.all(["/scenario-schema", "/policies", "/scenarios", "/questions"].map((path) => get(path)));
    form = startForm(holder, { schema, policies, scenarios, started: (run) => { note.textContent = t("sf.started", { run: run.id }); show(run.id); } });
    place.append(gallery(scenarios, (await get("/scenarios/luoyang")).values), questions(asked.questions));
    await form.use(new URLSearchParams(location.search).get("scenario") ?? "luoyang");
  } catch (error) {
    note.textContent = wordsOf(error);
  }
  await look();
  if (shown) show(shown);
}

begin();
