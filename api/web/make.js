/** Elements with their properties and what stands in them; texts become text nodes, so no data is ever markup. */

/** Whether there is something: empty texts and zeros are. */
const is = (value) => value !== null && value !== undefined && value !== false;

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties] attributes; true and false set and leave out
 * @param {...(Node | string | number | null | false | undefined)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) if (is(value)) element.setAttribute(key, value === true ? "" : value);
  element.append(...children.filter(is).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/** A button, and what it does. @param {string} words @param {() => void} doing @param {Record<string, any>} [properties] */
export function button(words, doing, properties = {}) {
  const element = make("button", { type: "button", ...properties }, words);
  element.addEventListener("click", doing);
  return element;
}
