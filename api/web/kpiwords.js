/** KPIs as a person reads them: names in both languages, values with their unit. */

import { lang, number, span, t, words } from "./i18n.js";

/** What a KPI is called. @param {string} name as the API calls it */
export function kpiName(name) {
  const key = `kpi.${name}`;
  if (words[key]) return words[key];
  const text = name.replace(/_(s|h|days)$/, "").replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
}

/** The unit beside a name; shares are per cent and seconds become times, which have theirs with the figure. */
export function unitWord(unit) {
  return unit === "share" || unit === "s" ? "" : words[`unit.${unit}`] ?? unit;
}

/** A number with as many decimals as its size needs. @param {number} value @param {number} [most] */
export function plain(value, most = 2) {
  const size = Math.abs(value);
  if (size && size < 0.5 * 10 ** -most) return number(value, Math.ceil(-Math.log10(size)));
  return number(value, size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? Math.min(1, most) : most);
}

/**
 * A value in its unit. @param {number | null | undefined} value @param {string} unit
 * @param {boolean} [isGap] whether it is a difference: of shares in percentage points
 */
export function figure(value, unit, isGap = false) {
  if (typeof value !== "number") return "–";
  if (unit === "share") return `${plain(value * 100, Math.abs(value) < 0.01 ? 2 : 1)} ${isGap ? t("more.points") : "%"}`;
  if (unit === "s") return Math.abs(value) < 60 ? `${plain(value, 1)}${lang === "zh" ? " 秒" : " s"}` : span(value);
  return plain(value);
}
