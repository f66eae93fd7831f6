/**
 * Asking the server: JSON in and out, the key where one is needed, and problem documents as words.
 *
 * A key is kept for as long as the tab is open (sessionStorage), and asked for when the server wants one.
 */

import { said, t } from "./i18n.js";
import { make } from "./make.js";

const KEPT = "meterhouse.key";
const REBUILT_MS = 400;

/**
 * What the server refuses: its problem document, and a sentence made of it. The server words it in English; in
 * another language the kind of problem comes first, in words of the page.
 */
export class Refused extends Error {
  /** @param {number} status @param {Record<string, any>} problem */
  constructor(status, problem) {
    const errors = (problem.errors ?? []).map((each) => `${each.pointer.replace(/^\//, "").replaceAll("/", ".")}: ${each.detail}`);
    super([
      said.problem[String(problem.type).split("/").pop()], problem.detail ?? problem.title ?? t("failed", { status }), ...errors.filter((each) => !String(problem.detail).includes(each)),
    ].filter(Boolean).join("\n"));
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
 * Ask for something, or have something done: the answer as it came.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {{headers?: Record<string, string>, signal?: AbortSignal}} [more]
 */
export async function fetched(method, path, body, more = {}) {
  const answer = await fetch(path, {
    method, headers: headers(body, more.headers), signal: more.signal, body: body === undefined ? undefined : JSON.stringify(body),
  }).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { detail: t("unreachable") });
  });
  if (answer.status === 401) {
    await askKey(sessionStorage.getItem(KEPT) !== null);
    return fetched(method, path, body, more);
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  throw new Refused(answer.status, /json/.test(answer.headers.get("Content-Type") ?? "") ? JSON.parse(text) : { detail: text.slice(0, 300) });
}

/** The same as JSON. @param {Parameters<typeof fetched>} asked @returns {Promise<any>} */
export async function send(...asked) {
  const text = await (await fetched(...asked)).text();
  return text ? JSON.parse(text) : null;
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

/** A run, as soon as it can be asked of its state: after a start of the server it may have to be rebuilt first. @param {string} id */
export async function readyRun(id) {
  for (;;) {
    const run = await get(`/runs/${id}`);
    if (run.ready || run.state === "queued") return run;
    await new Promise((resolve) => setTimeout(resolve, REBUILT_MS));
  }
}

/** Do something that is to be done once, however often the connection breaks. */
export function post(path, body) {
  const once = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return send("POST", path, body, { headers: { "Idempotency-Key": once } });
}

/** Have somebody type the key; one box, however many requests wait for it. @param {boolean} wasWrong */
export function askKey(wasWrong = false) {
  asking ??= new Promise((resolve) => {
    const input = make("input", { type: "password", autocomplete: "off", required: true });
    const dialog = make("dialog", {}, make("form", { method: "dialog" }, make("h2", {}, t("key.title")), make("p", {}, t(wasWrong ? "key.wrong" : "key.why")),
      make("label", { class: "field" }, t("key.label"), input), make("div", { class: "buttons" }, make("button", { class: "main" }, t("key.use")))));
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
