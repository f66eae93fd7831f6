/** Help: how to read the racks, the keys, what the figures mean, and the words of the trade in both languages. */

import { address, t, translate } from "./i18n.js";
import { make } from "./make.js";
import { pages } from "./nav.js";
import { node, text } from "./svg.js";

/** Chinese, English, meaning; after the usage of metering centres and of the standards named. */
const WORDS = [
  ["计量中心", "metering centre", "verifies, stores and issues meters"],
  ["智能表库", "smart meter store", "automated store of a metering centre"],
  ["货位", "slot", "smallest addressed place: row, column, level"],
  ["排 / 列 / 层", "row / column / level", "parts of a slot's name: 2-07-3"],
  ["巷道", "aisle", "where robots drive, between two rows"],
  ["周转箱", "box, tote", "reusable box of 15 single-phase meters"],
  ["零箱", "part box", "a box that is not full"],
  ["料箱机器人", "case-handling robot", "takes single boxes from their supports"],
  ["站台", "port", "place where people and robots hand over"],
  ["入库 / 出库", "goods in / goods out", "receiving and issue"],
  ["上架 / 下架", "put-away / retrieval", "into a slot, out of a slot"],
  ["分配货位", "slot allocation", "which slot takes a box"],
  ["倒箱", "dig", "moving boxes that stand in the way"],
  ["单 / 复合作业", "single / dual command", "one task a drive, or two (VDI 3561)"],
  ["领用", "requisition", "meters issued to a crew or a station"],
  ["供电所", "supply station", "customer of the store"],
  ["拆回", "return", "meters removed from customers"],
  ["检定 / 复检", "verification / re-verification", "legal metrology"],
  ["先到期先出", "first expired, first out (FEFO)", "the oldest verification leaves first"],
  ["到货批次", "lot", "what arrived and was verified together"],
  ["合格在库", "qualified in stock", "may be issued"],
  ["领出待装", "issued, pending installation", "handed over"],
  ["拆回待退", "removed, pending return", "on its way back to the centre"],
  ["盘点", "count, stocktake", "looking whether records are right"],
  ["盘盈 / 盘亏", "surplus / shortage", "what a count finds too many or too few"],
  ["账实相符", "record accuracy", "records equal what is there"],
  ["安全库存", "safety stock", "not to be touched"],
  ["库存预警", "stock alert", "too old, too little, too full"],
  ["库龄", "stock age", "days since verification"],
  ["资产编号", "asset number", "22 digits on every meter's bar code"],
  ["可用率", "availability", "up time over up and down time (VDI 3581, FEM 9.221)"],
];

const KEYS = [
  [["Tab"], "tab"], [["Space"], "space"], [["/"], "slash"], [["←", "→", "↑", "↓"], "arrows"], [["Home", "End"], "ends"],
  [["PgUp", "PgDn"], "pages"], [["Enter"], "enter"], [["+", "−", "0"], "zoom"],
];

const place = (x, attributes = {}) => node("rect", { x, y: 3, width: 26, height: 34, rx: 3, fill: "var(--s0)", ...attributes });
const bar = (x, share) => node("rect", { x: x + 2, y: 36 - 32 * share, width: 22, height: 32 * share, rx: 2, fill: `var(--s${Math.ceil(5 * share)})` });

const PICTURES = {
  bar: () => [place(4), bar(4, 0.3), place(36), bar(36, 1)],
  empty: () => [place(4), node("rect", { x: 36, y: 3, width: 26, height: 34, rx: 3, fill: "none" })],
  chosen: () => [place(20, { stroke: "var(--choice)", "stroke-width": 3 }), bar(20, 0.7)],
  changed: () => [place(20, { stroke: "var(--flash)", "stroke-width": 2.4 }), bar(20, 0.5)],
  robot: () => [place(20), bar(20, 0.9), node("rect", { x: 21, y: 12, width: 24, height: 15, rx: 4, fill: "var(--robot)" }), mark(33, 23, "R1")],
  flag: () => [
    place(4), bar(4, 0.5), node("path", { d: "M10 11L24 29M24 11L10 29", stroke: "var(--bad)", "stroke-width": 2.4, "stroke-linecap": "round" }),
    place(36), bar(36, 0.5), node("path", { d: "M49 11V23M49 28V30", stroke: "var(--mark)", "stroke-width": 3.4, "stroke-linecap": "round" }),
  ],
  charger: () => [
    node("rect", { x: 0, y: 11, width: 66, height: 18, rx: 9, fill: "var(--band)" }),
    node("path", { d: "M5-5H-1L-6 0-1 5H5Z", transform: "translate(18 20)", fill: "var(--muted)" }),
    node("path", { d: "M1.5-6.5L-4 1H0L-1.5 6.5 4-1H0Z", transform: "translate(46 20)", fill: "var(--muted)" }),
  ],
};

function mark(x, y, words) {
  const made = text(x, y, words);
  for (const [key, value] of Object.entries({ "text-anchor": "middle", fill: "var(--on-robot)", "font-size": 10, "font-weight": 700 })) made.setAttribute(key, String(value));
  return made;
}

function racks() {
  const rows = Object.entries(PICTURES).map(([name, draw]) =>
    make("li", {}, node("svg", { viewBox: "0 0 66 40", "aria-hidden": "true" }, ...draw()), make("span", {}, t(`help.r.${name}`))));
  return make("section", { class: "panel" }, make("h2", {}, t("help.racks")), make("ul", { class: "reading" }, ...rows), make("p", { class: "note" }, t("help.view")));
}

function keys() {
  const rows = KEYS.flatMap(([caps, name]) => [make("dt", {}, ...caps.flatMap((cap) => [make("kbd", { class: "key" }, cap), " "])), make("dd", {}, t(`help.k.${name}`))]);
  return make("section", { class: "panel" }, make("h2", {}, t("help.keys")), make("dl", { class: "keys" }, ...rows));
}

function figures() {
  return make("section", { class: "panel" }, make("h2", {}, t("help.figures")), ...["records", "p95", "speed", "compare"].map((name) => make("p", {}, t(`help.f.${name}`))));
}

function more() {
  return make("section", { class: "panel" }, make("h2", {}, t("help.more")),
    make("p", {}, make("a", { href: address("/ui/", { wall: 1 }) }, t("help.m.wall"))), make("p", {}, make("a", { href: "/docs" }, t("help.m.api"))), make("p", {}, t("help.m.link")));
}

function glossary() {
  const rows = WORDS.map(([zh, en, means]) => make("tr", {}, make("td", { lang: "en" }, en), make("td", { lang: "zh-CN" }, zh), make("td", { lang: "en" }, means)));
  const heads = ["help.w.en", "help.w.zh", "help.w.means"].map((key) => make("th", { scope: "col" }, t(key)));
  return make("section", { class: "panel" }, make("h2", {}, t("help.words")), make("table", { class: "glossary" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)));
}

pages("help");
translate();
document.title = `${t("help")} · meterhouse`;
document.getElementById("help").replaceChildren(
  make("div", { class: "title" }, make("div", {}, make("h2", {}, t("help")), make("p", { class: "lead" }, t("help.lead")))),
  make("div", { class: "columns" }, racks(), make("div", { class: "stack" }, keys(), figures(), more())), glossary());
