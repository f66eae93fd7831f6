/** What can be taken home of a run: its scenario as a file that starts it again, KPIs, slots and facts. */

import { get } from "./api.js";
import { t } from "./i18n.js";

/** @typedef {(done: string) => void} Tell says how far a download is */

/** @type {Record<string, (run: any, tell: Tell) => Promise<[string, string, string]>>} name, type and text of each */
const FILES = {
  async scenario(run) {
    const { begun_with: values } = await get(`/runs/${run.id}/scenario`);
    return [`${run.id}-${plainName(run.name)}.toml`, "application/toml", toml(values)];
  },
  async kpis(run) {
    const { kpis, t_s: seconds } = await get(`/runs/${run.id}/kpis`);
    const rows = Object.entries(kpis).map(([name, { value, unit, p50, p95, n }]) => [name, typeof value === "object" ? "" : value, unit, p50, p95, n, seconds]);
    return [`${run.id}-kpis.csv`, "text/csv", csv([["kpi", "value", "unit", "p50", "p95", "n", "t_s"], ...rows])];
  },
  async slots(run, tell) {
    const slots = await pages(`/runs/${run.id}/slots`, "slots", {}, tell);
    const keys = ["slot", "row", "column", "level", "zone", "status", "boxes", "capacity", "reserved", "meters", "fill", "skus"];
    const rows = slots.map((slot) => keys.map((key) => (key === "skus" ? slot.skus.join("; ") : slot[key])));
    return [`${run.id}-slots.csv`, "text/csv", csv([keys, ...rows])];
  },
  async events(run, tell) {
    const events = await pages(`/runs/${run.id}/events`, "events", { limit: 200 }, tell);
    return [`${run.id}-events.jsonl`, "application/jsonl", events.map((each) => `${JSON.stringify(each)}\n`).join("")];
  },
};

export const KINDS = Object.keys(FILES);

/** Make a file of a run and have the browser save it. @param {string} kind @param {any} run @param {Tell} tell */
export async function download(kind, run, tell) {
  const [name, type, text] = await FILES[kind](run, tell);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  tell(t("dl.done", { name }));
}

/** All pages of a list. */
async function pages(path, key, query, tell) {
  const found = [];
  for (let cursor = null; ; ) {
    const answer = await get(path, { ...query, cursor });
    found.push(...answer[key]);
    tell(t("dl.so_far", { n: found.length }));
    cursor = answer.next ?? null;
    if (cursor === null) return found;
  }
}

/** Rows of a table; a text that a spreadsheet would take for a formula gets a mark before it. */
function csv(rows) {
  const cell = (value) => {
    let text = value === null || value === undefined ? "" : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** The values of a scenario as a file; what has no value is left out. @param {Record<string, any>} values */
export function toml(values) {
  const isTable = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const lines = (table) => Object.entries(table).filter(([, value]) => value !== null && !isTable(value)).map(([key, value]) => `${key} = ${written(value)}\n`).join("");
  const tables = (table, before) => Object.entries(table).filter(([, value]) => isTable(value))
    .map(([key, value]) => `\n[${before}${key}]\n${lines(value)}${tables(value, `${before}${key}.`)}`).join("");
  return lines(values) + tables(values, "");
}

function written(value) {
  if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    return `{ ${Object.entries(value).filter(([, each]) => each !== null).map(([key, each]) => `${key} = ${written(each)}`).join(", ")} }`;
  }
  return JSON.stringify(value);
}

function plainName(name) {
  return name.replace(/[^\p{L}\p{N}_-]+/gu, "-").slice(0, 40) || "run";
}
