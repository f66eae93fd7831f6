/** Finding things by a few characters of a name or number: what is found can be gone through with the arrows. */

import { get } from "./api.js";
import { lang, t } from "./i18n.js";
import { make } from "./make.js";

const WAIT_MS = 150;

/**
 * @param {{path: (part: string) => string, at: () => number | null, open: (kind: string, name: string) => void, say: (error: unknown) => void}} page
 * @param {HTMLInputElement} input
 * @param {HTMLUListElement} list
 */
export function search(page, input, list) {
  /** @type {{kind: string, name: string, text: string}[]} */
  let found = [];
  let marked = -1;
  let waiting = 0;
  /** @type {AbortController | null} */
  let asking = null;

  async function look() {
    asking?.abort();
    const q = input.value.trim();
    if (!q) return close();
    asking = new AbortController();
    try {
      found = (await get(page.path("/search"), { q, limit: 12, at: page.at() }, asking.signal)).found;
    } catch (error) {
      if (error.name !== "AbortError") page.say(error);
      return;
    }
    show();
  }

  function show() {
    marked = found.length ? 0 : -1;
    list.replaceChildren(...found.map((hit, k) =>
      make("li", { role: "option", id: `found-${k}`, "aria-selected": String(k === marked), "data-hit": k },
        make("span", {}, t(`kind.${hit.kind}`)), make("b", {}, hit.name), make("span", {}, lang === "en" ? hit.text : ""))));
    if (!found.length) list.replaceChildren(make("li", { role: "option", "aria-disabled": "true", "aria-selected": "false" }, make("span", {}, ""), make("span", {}, t("find.nothing"))));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    point(marked);
  }

  function point(k) {
    list.querySelectorAll("[data-hit]").forEach((each) => each.setAttribute("aria-selected", String(Number(each.dataset.hit) === k)));
    marked = k;
    if (k >= 0) input.setAttribute("aria-activedescendant", `found-${k}`);
    else input.removeAttribute("aria-activedescendant");
    list.querySelector(`#found-${k}`)?.scrollIntoView({ block: "nearest" });
  }

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function take(k) {
    const hit = found[k];
    if (!hit) return;
    close();
    input.value = hit.name;
    page.open(hit.kind, hit.name);
  }

  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, WAIT_MS);
  });
  input.addEventListener("keydown", async (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (found.length) point((marked + (event.key === "ArrowDown" ? 1 : found.length - 1)) % found.length);
      event.preventDefault();
    } else if (event.key === "Enter") {
      event.preventDefault();
      clearTimeout(waiting);
      if (list.hidden || !found.some((hit) => hit.name.startsWith(input.value.trim()))) await look();
      take(Math.max(0, marked));
    } else if (event.key === "Escape") {
      close();
    }
  });
  input.addEventListener("blur", () => setTimeout(close, 150));
  list.addEventListener("pointerdown", (event) => {
    const hit = event.target.closest("[data-hit]");
    event.preventDefault();
    if (hit) take(Number(hit.dataset.hit));
  });
}
