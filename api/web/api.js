/**
 * Asking the server: JSON in and out, the key where one is needed, and problem documents as words.
 *
 * A key is kept for as long as the tab is open (sessionStorage), and asked for when the server wants one.
 */

import { t } from "./i18n.js";

const KEPT = "meterhouse.key";

/** What the server refuses: its problem document, and a sentence made of it. */
export class Refused extends Error {
  /** @param {number} status @param {Record<string, any>} problem */
  constructor(status, problem) {
    const errors = (problem.errors ?? []).map((each) => `${each.pointer.replace(/^\//, "").replaceAll("/", ".")}: ${each.detail}`);
    super([problem.detail ?? problem.title ?? t("failed", { status }), ...errors.filter((each) => !String(problem.detail).includes(each))].join("\n"));
    this.status = status;
    this.problem = problem;
  }
}

/** @type {Promise<void> | null} */
let asking = null;

/** The headers with which this tab asks. */
function headers(body, more) {
  const key = sessionStorage.getItem(KEPT);
  return { ...(key ? { "X-API-Key": key } : {}), ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...more };
}

/** The subprotocols of a WebSocket, which carry the key. */
export function protocols() {
  const key = sessionStorage.getItem(KEPT);
  return key ? ["meterhouse", `key.${key}`] : ["meterhouse"];
}

/**
 * Ask for something, or have something done.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {{headers?: Record<string, string>, signal?: AbortSignal}} [more]
 * @returns {Promise<any>}
 */
export async function send(method, path, body, more = {}) {
  const answer = await fetch(path, {
    method, headers: headers(body, more.headers), signal: more.signal, body: body === undefined ? undefined : JSON.stringify(body),
  }).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { detail: t("unreachable") });
  });
  if (answer.status === 401) {
    await askKey(sessionStorage.getItem(KEPT) !== null);
    return send(method, path, body, more);
  }
  const text = await answer.text();
  const found = /json/.test(answer.headers.get("Content-Type") ?? "") ? JSON.parse(text) : text;
  if (!answer.ok) throw new Refused(answer.status, typeof found === "string" ? { detail: found.slice(0, 300) } : found);
  return found;
}

/**
 * Ask for something; values of the query that are null or undefined are left out.
 * @param {string} path
 * @param {Record<string, unknown>} [query]
 * @param {AbortSignal} [signal]
 */
export function get(path, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return send("GET", text ? `${path}?${text}` : path, undefined, { signal });
}

/** A list in all its pages, up to ten of them. @param {string} path @param {string} name of the list @param {Record<string, unknown>} query */
export async function all(path, name, query = {}) {
  const found = [];
  let cursor = null;
  for (let page = 0; page < 10; page++) {
    const told = await get(path, { ...query, limit: 200, cursor });
    found.push(...told[name]);
    cursor = told.next;
    if (cursor === null) break;
  }
  return found;
}

/** Do something that is to be done once, however often the connection breaks. */
export function post(path, body) {
  const once = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return send("POST", path, body, { headers: { "Idempotency-Key": once } });
}

/** Have somebody type the key; one box, however many requests wait for it. @param {boolean} wasWrong */
export function askKey(wasWrong = false) {
  asking ??= new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    const form = document.createElement("form");
    form.method = "dialog";
    const heading = document.createElement("h2");
    heading.textContent = t("key.title");
    const why = document.createElement("p");
    why.textContent = t(wasWrong ? "key.wrong" : "key.why");
    const label = document.createElement("label");
    label.className = "field";
    label.append(t("key.label"));
    const input = document.createElement("input");
    input.type = "password";
    input.autocomplete = "off";
    input.required = true;
    label.append(input);
    const go = document.createElement("button");
    go.className = "main";
    go.textContent = t("key.use");
    const buttons = document.createElement("div");
    buttons.className = "buttons";
    buttons.append(go);
    form.append(heading, why, label, buttons);
    dialog.append(form);
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(KEPT, input.value.trim());
      dialog.remove();
      asking = null;
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

/** What went wrong, in words. @param {unknown} error */
export function wordsOf(error) {
  return error instanceof Error ? error.message : String(error);
}
