/** Buttons that open another thing in the detail pane. */

import { make } from "./make.js";

/** @param {string} kind @param {string | number | null | undefined} name @param {string | number} [words] */
export function link(kind, name, words = name) {
  if (name === null || name === undefined) return "–";
  return make("button", { class: "plain", type: "button", "data-open": `${kind}:${name}`, "data-id": `${kind}:${name}` }, words);
}

/** What a click on such a button opens: kind and name. @param {Event} event @returns {[string, string] | null} */
export function opened(event) {
  const [, kind, name] = /^(\w+):(.*)$/.exec(event.target.closest("[data-open]")?.dataset.open ?? "") ?? [];
  return kind ? [kind, name] : null;
}
