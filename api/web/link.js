/** Buttons that open another thing in the detail pane. */

import { make } from "./make.js";

/** @param {string} kind @param {string | number | null | undefined} name @param {string | number} [words] */
export function link(kind, name, words = name) {
  if (name === null || name === undefined) return "–";
  return make("button", { class: "plain", type: "button", "data-open": `${kind}:${name}`, "data-id": `${kind}:${name}` }, String(words));
}
