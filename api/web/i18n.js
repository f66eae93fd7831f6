/**
 * The words of the page in its language, and how numbers, times and spans are written in it. Only the words of
 * that language are loaded.
 *
 * Elements say what stands in them: `data-t` is their text, `data-l` their label for those who do not see
 * them, `data-p` their placeholder, `data-h` what is shown when the pointer rests on them.
 */

/** @typedef {"en" | "zh"} Language */

const asked = new URLSearchParams(location.search).get("lang");

/** @type {Language} */
export const lang = asked === "zh" || (asked !== "en" && navigator.language.startsWith("zh")) ? "zh" : "en";

document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";

const { words: told, said } = await import(`./${lang}.js`);

/** What stands for what the server says. */
export { said };

/** The words by their whole names: of a part `pace`, those that begin with `pace.`. @type {Record<string, string>} */
export const words = Object.fromEntries(Object.entries(told).flatMap(([part, own]) => (
  typeof own === "string" ? [[part, own]] : Object.entries(own).map(([name, text]) => [name ? `${part}.${name}` : part, text]))));

export const locale = lang === "zh" ? "zh-CN" : "en-GB";

/**
 * The words of a key, with `{name}` replaced by the values given; a key without words is its own word.
 * @param {string} key
 * @param {Record<string, unknown>} [values]
 */
export function t(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** Write the words into a part of the page. @param {ParentNode} [root] */
export function translate(root = document) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-l]")) element.setAttribute("aria-label", t(element.dataset.l));
  for (const element of root.querySelectorAll("[data-p]")) element.setAttribute("placeholder", t(element.dataset.p));
  for (const element of root.querySelectorAll("[data-h]")) element.setAttribute("title", t(element.dataset.h));
}

/** A number with so many decimals at most. @param {number} value @param {number} [digits] */
export function number(value, digits = 0) {
  return Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
}

/** A number with exactly so many decimals. @param {number} value @param {number} digits */
export function fixed(value, digits) {
  return Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** A span of time in its two greatest units: 2 d 3 h, 4 min 20 s, 12 s. @param {number | null} seconds */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const units = lang === "zh" ? [" 天", " 小时", " 分", " 秒"] : [" d", " h", " min", " s"];
  let rest = Math.round(Math.abs(seconds));
  const parts = [];
  for (const [index, size] of [86400, 3600, 60, 1].entries()) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count) parts.push(count + units[index]);
    else if (parts.length) break;
    if (parts.length === 2) break;
  }
  return (seconds < 0 ? "−" : "") + (parts.join(" ") || 0 + units[3]);
}

/** Day and time of day of simulated seconds: D3 14:05:20. @param {number} seconds @param {string} start */
export function clock(seconds, start, withSeconds = true) {
  const at = new Date(Date.parse(`${start.slice(0, 19)}Z`) + Math.floor(seconds) * 1000);
  const midnight = Date.parse(`${start.slice(0, 10)}T00:00:00Z`);
  const day = Math.floor((at.getTime() - midnight) / 86400000) + 1;
  return `${lang === "zh" ? `第${day}天` : `D${day}`} ${at.toISOString().slice(11, withSeconds ? 19 : 16)}`;
}

/** The address of another page with the language and the run of this one. @param {string} path */
export function address(path, values = {}) {
  const here = new URLSearchParams(location.search);
  const there = new URLSearchParams();
  for (const name of ["run", "lang"]) if (here.has(name)) there.set(name, here.get(name));
  for (const [name, value] of Object.entries(values)) there.set(name, value);
  const query = there.toString();
  return query ? `${path}?${query}` : path;
}
