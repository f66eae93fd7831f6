/**
 * Scenario files read in the browser: the part of TOML that they are written in.
 *
 * Tables, lists of tables, dotted keys, one-line and multi-line lists, inline tables, strings of one line,
 * whole and decimal numbers, booleans; days and times become texts. Texts of several lines are refused.
 */

/** A mistake in a file, with its line. */
export class TomlError extends Error {
  /** @param {number} line @param {string} found */
  constructor(line, found) {
    super(found);
    this.line = line;
  }
}

const NUMBER = /^[+-]?(\d[\d_]*)(\.\d[\d_]*)?([eE][+-]?\d+)?$/;
const DAY = /^\d{4}-\d\d-\d\d([T ][\d:.]+(Z|[+-]\d\d:\d\d)?)?$|^\d\d:\d\d(:\d\d(\.\d+)?)?$/;
const ESCAPES = { b: "\b", t: "\t", n: "\n", f: "\f", r: "\r", '"': '"', "\\": "\\" };

/** The values of a file. @param {string} text @returns {Record<string, any>} */
export function parse(text) {
  let at = 0;
  const root = {};
  const line = () => text.slice(0, at).split("\n").length;
  const fail = () => {
    const rest = text.slice(at).split("\n")[0].trim();
    throw new TomlError(line(), rest.slice(0, 60));
  };
  const skip = (pattern) => {
    pattern.lastIndex = at;
    if (pattern.test(text)) at = pattern.lastIndex;
  };
  const spaces = () => skip(/[ \t]*/y);
  const blanks = () => skip(/(?:\s|#[^\n]*)*/y);
  const take = (mark) => {
    if (!text.startsWith(mark, at)) fail();
    at += mark.length;
  };

  function string() {
    if (text.startsWith('"""', at) || text.startsWith("'''", at)) fail();
    const quote = text[at];
    let found = "";
    for (at += 1; text[at] !== quote; at += 1) {
      if (at >= text.length || text[at] === "\n") fail();
      if (text[at] !== "\\" || quote === "'") {
        found += text[at];
        continue;
      }
      at += 1;
      if (text[at] === "u" || text[at] === "U") {
        const digits = text.slice(at + 1, at + (text[at] === "u" ? 5 : 9));
        if (!/^[0-9a-fA-F]+$/.test(digits)) fail();
        found += String.fromCodePoint(parseInt(digits, 16));
        at += digits.length;
      } else {
        found += ESCAPES[text[at]] ?? fail();
      }
    }
    at += 1;
    return found;
  }

  function name() {
    spaces();
    if (text[at] === '"' || text[at] === "'") return string();
    const found = /[A-Za-z0-9_-]+/y;
    found.lastIndex = at;
    const match = found.exec(text);
    if (!match) fail();
    at = found.lastIndex;
    return match[0];
  }

  function names() {
    const found = [name()];
    for (spaces(); text[at] === "."; spaces()) {
      at += 1;
      found.push(name());
    }
    return found;
  }

  function value() {
    if (text[at] === '"' || text[at] === "'") return string();
    if (text[at] === "[") return list();
    if (text[at] === "{") return table();
    const found = /[^\s,\]}#]+(?: \d\d:[\d:.]+)?/y;
    found.lastIndex = at;
    const word = found.exec(text)?.[0] ?? fail();
    const plain = word.replaceAll("_", "");
    let result;
    if (word === "true" || word === "false") result = word === "true";
    else if (/^[+-]?inf$/.test(word)) result = word; // the API takes it as a word
    else if (NUMBER.test(word)) result = Number(plain);
    else if (DAY.test(word)) result = word;
    else fail();
    at = found.lastIndex;
    return result;
  }

  function list() {
    const found = [];
    take("[");
    for (blanks(); text[at] !== "]"; blanks()) {
      found.push(value());
      blanks();
      if (text[at] !== "]") take(",");
    }
    take("]");
    return found;
  }

  function table() {
    const found = {};
    take("{");
    spaces();
    while (text[at] !== "}") {
      pair(found);
      spaces();
      if (text[at] !== "}") take(",");
      spaces();
    }
    take("}");
    return found;
  }

  /** The table under names, made where it is missing; of a list its last one. */
  function under(start, path) {
    let here = start;
    for (const each of path) {
      if (!Object.hasOwn(here, each)) define(here, each, {});
      here = Array.isArray(here[each]) ? here[each][here[each].length - 1] : here[each];
      if (typeof here !== "object" || here === null) fail();
    }
    return here;
  }

  /** Set a key, whatever it is called. */
  function define(where, key, what) {
    Object.defineProperty(where, key, { value: what, writable: true, enumerable: true, configurable: true });
  }

  function pair(where) {
    const path = names();
    spaces();
    take("=");
    spaces();
    const last = path.pop();
    const here = under(where, path);
    if (Object.hasOwn(here, last)) fail();
    define(here, last, value());
  }

  let here = root;
  for (blanks(); at < text.length; blanks()) {
    if (text[at] === "[") {
      const isList = text.startsWith("[[", at);
      take(isList ? "[[" : "[");
      const path = names();
      take(isList ? "]]" : "]");
      if (isList) {
        const last = path.pop();
        const parent = under(root, path);
        if (!Object.hasOwn(parent, last)) define(parent, last, []);
        if (!Array.isArray(parent[last])) fail();
        here = {};
        parent[last].push(here);
      } else {
        here = under(root, path);
      }
    } else {
      pair(here);
    }
    skip(/[ \t]*(#[^\n]*)?/y);
    if (at < text.length && text[at] !== "\n" && text[at] !== "\r") fail();
  }
  return root;
}
