/** Files that the browser saves: texts, tables, and several of them in a zip. */

import { make } from "./make.js";

/** Have the browser save something under a name. @param {string} name @param {string} type @param {...BlobPart} parts */
export function save(name, type, ...parts) {
  const href = URL.createObjectURL(new Blob(parts, { type }));
  make("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10000);
}

/** Rows as a table that spreadsheets read; a text that one would take for a formula gets a mark before it. */
export function csv(rows) {
  const cell = (value) => {
    let text = value === null || value === undefined ? "" : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** Objects as a table of all their keys; lists are written out. @param {any[]} objects */
export function table(objects) {
  const keys = [...new Set(objects.flatMap(Object.keys))];
  const told = (value) => (Array.isArray(value) ? value.join("; ") : value !== null && typeof value === "object" ? JSON.stringify(value) : value);
  return csv([keys, ...objects.map((each) => keys.map((key) => told(each[key])))]);
}

/** A zip of texts by name: each deflated, with its checksum. @param {Record<string, string>} texts @returns {Promise<Blob>} */
export async function zip(texts) {
  const parts = [];
  const index = [];
  let at = 0;
  for (const [name, text] of Object.entries(texts)) {
    const [title, raw] = [new TextEncoder().encode(name), new TextEncoder().encode(text)];
    const packed = await new Response(new Blob([raw]).stream().pipeThrough(new CompressionStream("deflate-raw"))).arrayBuffer();
    // Version 2.0, names in UTF-8, deflated, 1980-01-01: the same facts give the same file.
    const about = [[2, 20], [2, 0x0800], [2, 8], [2, 0], [2, 0x21], [4, checksum(raw)], [4, packed.byteLength], [4, raw.length], [2, title.length], [2, 0]];
    const head = bytes([[4, 0x04034b50], ...about]);
    parts.push(head, title, packed);
    index.push(bytes([[4, 0x02014b50], [2, 20], ...about, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]]), title);
    at += head.length + title.length + packed.byteLength;
  }
  const count = index.length / 2;
  const size = index.reduce((sum, each) => sum + each.length, 0);
  return new Blob([...parts, ...index, bytes([[4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, at], [2, 0]])], { type: "application/zip" });
}

/** Whole numbers in so many bytes each, the lowest first. @param {[number, number][]} numbers */
function bytes(numbers) {
  return Uint8Array.from(numbers.flatMap(([size, value]) => Array.from({ length: size }, (_, k) => (value >>> (8 * k)) & 255)));
}

/** CRC-32, as zip wants it. @param {Uint8Array} data */
function checksum(data) {
  const table_ = Uint32Array.from({ length: 256 }, (_, byte) => {
    for (let k = 0; k < 8; k += 1) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
    return byte;
  });
  return ~data.reduce((sum, byte) => (sum >>> 8) ^ table_[(sum ^ byte) & 255], -1) >>> 0;
}
