/**
 * What can be taken home of a run: its report when it is over, tables of everything in a zip, its facts, and its
 * scenario as a file that starts it again.
 */

import { fetched, get } from "./api.js";
import { t } from "./i18n.js";
import { csv, save, table, zip } from "./save.js";

/** @typedef {(done: string) => void} Tell says how far a download is */

/** The lists that are tables of the zip, beside the KPIs. */
const TABLES = ["slots", "orders", "tasks", "events"];

/** @type {Record<string, (run: any, tell: Tell) => Promise<[string, string, BlobPart]>>} name, type and content of each */
const FILES = {
  async report(run) {
    return [`${run.id}-report.html`, "text/html", await (await fetched("GET", `/runs/${run.id}/report`)).blob()];
  },
  async tables(run, tell) {
    const { kpis, t_s: seconds } = await get(`/runs/${run.id}/kpis`);
    const rows = Object.entries(kpis).map(([name, { value, unit, p50, p95, n }]) => [name, typeof value === "object" ? "" : value, unit, p50, p95, n, seconds]);
    const texts = { "kpis.csv": csv([["kpi", "value", "unit", "p50", "p95", "n", "t_s"], ...rows]) };
    for (const name of TABLES) texts[`${name}.csv`] = table(await pages(`/runs/${run.id}/${name}`, name, name === "slots" ? {} : { limit: 200 }, tell));
    return [`${run.id}-tables.zip`, "application/zip", await zip(texts)];
  },
  async events(run, tell) {
    const events = await pages(`/runs/${run.id}/events`, "events", { limit: 200 }, tell);
    return [`${run.id}-events.jsonl`, "application/jsonl", events.map((each) => `${JSON.stringify(each)}\n`).join("")];
  },
  async scenario(run) {
    const { begun_with: values } = await get(`/runs/${run.id}/scenario`);
    return [`${run.id}-${plainName(run.name)}.toml`, "application/toml", toml(values)];
  },
};

export const KINDS = Object.keys(FILES);

/** Make a file of a run and have the browser save it. @param {string} kind @param {any} run @param {Tell} tell */
export async function download(kind, run, tell) {
  tell(t("dl.wait"));
  const [name, type, content] = await FILES[kind](run, tell);
  save(name, type, content);
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

/** The values of a scenario as a file; what has no value is left out. @param {Record<string, any>} values */
export function toml(values) {
  const isTable = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const lines = (table_) => Object.entries(table_).filter(([, value]) => value !== null && !isTable(value)).map(([key, value]) => `${key} = ${written(value)}\n`).join("");
  const tables = (table_, before) => Object.entries(table_).filter(([, value]) => isTable(value))
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
