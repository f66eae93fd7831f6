/**
 * The form that starts a run, made from the schema of a scenario: every value with its sentence, unit and range,
 * filled with what the chosen scenario has; what the server finds wrong stands beside the value it is about.
 * Only what differs from the scenario is sent.
 */

import { get, post, wordsOf } from "./api.js";
import { t, words } from "./i18n.js";
import { make } from "./make.js";

/** Values that are changed most often stand first. */
const OFTEN = [
  "time.days", "initial.fill", "demand.orders_per_day", "robots.count", "robots.carry", "robots.speed_m_per_s", "people.count",
  "policy.allocation", "policy.retrieval", "operation",
];
const NOT_HERE = ["extends", "name", "question", "seed"];
const SPEEDS = [1, 5, 10, 30, 60, 120, 600, 1800, 3600, "max"];

/** @typedef {{path: string, field: any, input: any, row: HTMLElement, problem: HTMLElement, base: any}} Line */

/**
 * @param {HTMLElement} holder
 * @param {{schema: any, policies: any, scenarios: any[], started: (run: any) => void}} given
 */
export function startForm(holder, { schema, policies, scenarios, started }) {
  /** @type {Map<string, Line>} */ const lines = new Map();
  /** @type {any} */ let file = null;
  const choose = make("select", { id: "sf-scenario" }, ...scenarios.map((each) => make("option", { value: each.name }, each.name)));
  const question = make("p", { class: "question", lang: "en" });
  const name = make("input", { id: "sf-name", maxlength: 100, autocomplete: "off" });
  const seed = make("input", { id: "sf-seed", inputmode: "numeric", autocomplete: "off" });
  const mode = make("select", { id: "sf-mode" }, ...["live", "batch"].map((each) => make("option", { value: each }, t(`mode.${each}`))));
  const speed = make("select", { id: "sf-speed" }, ...SPEEDS.map((each) => make("option", { value: String(each), selected: each === 600 }, each === "max" ? t("more.fastest") : `× ${each}`)));
  const find = make("input", { type: "search", id: "sf-find", placeholder: t("sf.find"), "aria-label": t("sf.find") });
  const sections = make("div");
  const summary = make("p", { class: "note", "aria-live": "polite" });
  const trouble = make("div", { class: "problem", role: "alert", hidden: true });
  const send = make("button", { class: "main", type: "submit" }, t("sf.start"));
  const dropped = make("p", { class: "dropped", hidden: true });
  const form = make("form", { class: "panel start", novalidate: true },
    make("div", { class: "heads" }, labelled(t("more.scenario"), choose), labelled(t("more.name"), name), labelled(t("more.seed"), seed),
      labelled(t("more.mode"), mode), labelled(t("more.speed"), speed)),
    question, dropped, make("div", { class: "findrow" }, find), sections, trouble, make("div", { class: "foot" }, send, summary));
  holder.replaceChildren(form);

  build();
  choose.addEventListener("change", () => use(choose.value));
  mode.addEventListener("change", () => { speed.disabled = mode.value !== "live"; });
  find.addEventListener("input", narrow);
  form.addEventListener("input", sum);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });

  function build() {
    const groups = new Map([["often", []]]);
    for (const path of OFTEN) groups.get("often").push(path);
    for (const [key, field] of Object.entries(schema.properties)) {
      if (NOT_HERE.includes(key)) continue;
      const inner = field.$ref && schema.$defs[field.$ref.split("/").pop()];
      const found = inner ? Object.keys(inner.properties).map((each) => `${key}.${each}`) : [key];
      const group = inner ? key : "other";
      groups.set(group, [...(groups.get(group) ?? []), ...found.filter((path) => !OFTEN.includes(path))]);
    }
    for (const [group, paths] of groups) {
      const definition = schema.$defs[(schema.properties[group]?.$ref ?? "").split("/").pop()];
      const rows = paths.map((path) => line(path));
      const body = make("div", { class: "lines" }, ...rows);
      const title = words[`sec.${group}`] ?? group;
      sections.append(make("details", { class: "section", open: group === "often" },
        make("summary", {}, make("b", {}, title), " ", make("small", { lang: "en" }, (definition?.description ?? "").split("\n")[0])), body));
    }
  }

  /** The field of the schema under a dotted path. */
  function fieldOf(path) {
    const [head, tail] = path.split(".");
    const field = schema.properties[head];
    const own = tail ? schema.$defs[field.$ref.split("/").pop()].properties[tail] : field;
    return own.$ref ? { ...schema.$defs[own.$ref.split("/").pop()], ...own } : own;
  }

  function line(path) {
    const field = fieldOf(path);
    const id = `sf-${path}`;
    const input = inputOf(path, field);
    input.id = id;
    const problem = make("p", { class: "wrong", id: `${id}-wrong`, hidden: true });
    input.setAttribute("aria-describedby", `${id}-told ${id}-wrong`);
    const told = [field.description, rangeOf(field)].filter(Boolean).join("; ");
    const row = make("div", { class: "entry" }, make("label", { for: id }, make("code", {}, path)),
      make("span", { class: "valued" }, input, field.unit ? make("small", { class: "unit" }, field.unit) : null),
      make("small", { class: "told", id: `${id}-told`, lang: "en" }, told), problem);
    lines.set(path, { path, field, input, row, problem, base: undefined });
    return row;
  }

  function inputOf(path, field) {
    const named = { "policy.allocation": "allocation", "policy.retrieval": "retrieval", "policy.dispatch": "dispatch", "policy.dwell": "dwell", "counting.plan": "plans" };
    const choices = field.enum ?? (policies[named[path]] ?? []).map((each) => each.name);
    if (choices.length) return make("select", {}, ...choices.map((each) => make("option", { value: each }, each)));
    if (field.type === "boolean") return make("select", {}, make("option", { value: "true" }, t("more.yes")), make("option", { value: "false" }, t("no")));
    if (kindOf(field) === "json") return make("textarea", { rows: 2, spellcheck: "false" });
    return make("input", { autocomplete: "off", inputmode: kindOf(field) === "number" ? "decimal" : null });
  }

  /** Fill the form with a scenario, and with the values of a file over it. @param {string} scenario @param {any} [from] */
  async function use(scenario, from = null) {
    file = from;
    choose.value = scenario;
    send.disabled = true;
    complain([]);
    try {
      const { values } = await get(`/scenarios/${encodeURIComponent(scenario)}`);
      const base = from ? merged(values, from.values) : values;
      for (const each of lines.values()) {
        const [head, tail] = each.path.split(".");
        const found = tail ? base[head]?.[tail] : base[head];
        each.base = found === undefined ? each.field.default ?? null : found;
        write(each);
      }
      name.value = base.name ?? "";
      seed.value = String(base.seed ?? 1);
      question.textContent = base.question ?? "";
      dropped.hidden = !from;
      dropped.textContent = from ? t("sf.dropped", { file: from.name, base: scenario }) : "";
    } catch (error) {
      complain([{ pointer: "", detail: wordsOf(error) }]);
    } finally {
      send.disabled = false;
    }
    sum();
  }

  function write({ input, field, base }) {
    if (kindOf(field) === "json") input.value = base === null ? "" : JSON.stringify(base);
    else input.value = base === null || base === undefined ? "" : String(base);
  }

  /** What stands in a line; raises a text that says what is wrong. */
  function read({ input, field }) {
    const text = input.value.trim();
    if (field.type === "boolean") return text === "true";
    if (text === "" && isOptional(field)) return null;
    if (kindOf(field) === "json") {
      try {
        return JSON.parse(text || "[]");
      } catch {
        throw new Error(t("sf.json"));
      }
    }
    if (kindOf(field) !== "number") return text;
    if (/^[+-]?inf$/.test(text)) return text;
    const value = Number(text);
    if (text === "" || Number.isNaN(value)) {
      if (field.anyOf?.some((each) => each.type === "string")) return text;
      throw new Error(t("sf.number"));
    }
    const isOut = value < (field.minimum ?? -Infinity) || value > (field.maximum ?? Infinity)
      || value <= (field.exclusiveMinimum ?? -Infinity) || value >= (field.exclusiveMaximum ?? Infinity);
    if (isOut || (field.type === "integer" && !Number.isInteger(value))) {
      throw new Error(t(field.type === "integer" ? "sf.whole" : "sf.range", { range: rangeOf(field) }));
    }
    return value;
  }

  /** What differs from the scenario, and what is wrong with it. */
  function changes() {
    const set = {};
    const wrong = [];
    for (const each of lines.values()) {
      try {
        const value = read(each);
        const isChanged = JSON.stringify(value) !== JSON.stringify(each.base ?? null);
        each.row.classList.toggle("changed", isChanged);
        if (isChanged) set[each.path] = value;
      } catch (error) {
        wrong.push({ pointer: `/set/${each.path}`, detail: error.message });
      }
    }
    if (!/^\d+$/.test(seed.value.trim()) || !Number.isSafeInteger(Number(seed.value))) wrong.push({ pointer: "/seed", detail: t("sf.seed") });
    return { set, wrong };
  }

  function sum() {
    const { set } = changes();
    const paths = Object.keys(set);
    summary.textContent = paths.length ? t("sf.changed", { n: paths.length, what: paths.slice(0, 4).join(", ") + (paths.length > 4 ? " …" : "") }) : t("sf.unchanged");
  }

  async function submit() {
    const { set, wrong } = changes();
    complain(wrong);
    if (wrong.length) return;
    const body = { scenario: file ? { ...file.values, extends: choose.value } : choose.value, mode: mode.value, seed: Number(seed.value) };
    if (name.value.trim()) body.name = name.value.trim();
    if (Object.keys(set).length) body.set = set;
    if (mode.value === "live") body.speed = speed.value === "max" ? "max" : Number(speed.value);
    send.disabled = true;
    try {
      started(await post("/runs", body));
    } catch (error) {
      complain(error.problem?.errors?.length ? error.problem.errors : [{ pointer: "", detail: wordsOf(error) }]);
    } finally {
      send.disabled = false;
    }
  }

  /** Show mistakes beside their values, the others at the end. @param {{pointer: string, detail: string}[]} mistakes */
  function complain(mistakes) {
    for (const each of lines.values()) {
      each.problem.hidden = true;
      each.input.removeAttribute("aria-invalid");
    }
    const others = [];
    let first = null;
    for (const { pointer, detail } of mistakes) {
      const path = pointer.replace(/^\/(set|scenario)\//, "").replaceAll("/", ".");
      const found = lines.get(path) ?? lines.get(path.split(/[.[]/).slice(0, 2).join("."));
      if (!found) {
        others.push(`${pointer} ${detail}`.trim());
        continue;
      }
      found.problem.textContent = found.problem.hidden ? detail : `${found.problem.textContent}; ${detail}`;
      found.problem.hidden = false;
      found.input.setAttribute("aria-invalid", "true");
      found.row.closest("details").open = true;
      found.row.hidden = false;
      first ??= found.input;
    }
    trouble.hidden = !others.length;
    trouble.replaceChildren(...others.map((text) => make("p", {}, text)));
    (first ?? (others.length ? name : null))?.focus();
  }

  /** Show only the lines that have a word in them. */
  function narrow() {
    const wanted = find.value.trim().toLowerCase();
    for (const section of sections.children) {
      let count = 0;
      for (const row of section.querySelectorAll(".entry")) {
        row.hidden = Boolean(wanted) && !row.textContent.toLowerCase().includes(wanted);
        count += row.hidden ? 0 : 1;
      }
      section.hidden = !count;
      if (wanted) section.open = count > 0;
    }
  }

  return { use };
}

function labelled(text, input) {
  return make("label", { class: "labelled" }, make("span", {}, text), input);
}

function isOptional(field) {
  return Boolean(field.anyOf?.some((each) => each.type === "null"));
}

function kindOf(field) {
  const types = [field.type, ...(field.anyOf ?? []).map((each) => each.type ?? (each.$ref ? "object" : ""))];
  if (types.includes("array") || types.includes("object")) return "json";
  return types.includes("number") || types.includes("integer") ? "number" : "text";
}

/** From what to what a value may be. */
function rangeOf(field) {
  const own = { ...field, ...(field.anyOf ?? []).find((each) => each.minimum !== undefined || each.maximum !== undefined) };
  const parts = [];
  if (own.minimum !== undefined) parts.push(`≥ ${own.minimum}`);
  if (own.exclusiveMinimum !== undefined) parts.push(`> ${own.exclusiveMinimum}`);
  if (own.maximum !== undefined && own.maximum < 1e12) parts.push(`≤ ${own.maximum}`);
  if (own.exclusiveMaximum !== undefined) parts.push(`< ${own.exclusiveMaximum}`);
  return parts.join(", ");
}

/** Values over others; tables are joined, all else is replaced. */
function merged(below, above) {
  const found = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const isTable = value !== null && typeof value === "object" && !Array.isArray(value);
    found[key] = isTable && below[key] !== null && typeof below[key] === "object" ? merged(below[key], value) : value;
  }
  return found;
}
