/** Drawings: elements of SVG with their attributes. */

/** @param {string} name @param {Record<string, unknown>} [attributes] @param {...Node} children @returns {any} */
export function node(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

/** Words in a drawing. @param {number} x @param {number} y @param {unknown} words @param {string} [kind] */
export function text(x, y, words, kind = "") {
  const made = node("text", { x, y, ...(kind ? { class: kind } : {}) });
  made.textContent = String(words);
  return made;
}

/** What is shown when the pointer rests on the drawing around it. @param {string} words */
export function title(words) {
  const made = node("title");
  made.textContent = words;
  return made;
}
