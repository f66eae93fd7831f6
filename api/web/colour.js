/** By what the racks are coloured: the choices, their values, and the legend that says what a colour means. */

import { get, wordsOf } from "./api.js";
import { number, t } from "./i18n.js";
import { make } from "./make.js";

/** Names as in the address: `colour=age`. What each asks of /racks. */
export const COLOURS = { fill: "boxes", age: "age", class: "sku", visits: "visits", truth: "differs", count: "count" };

/** Colours are asked for again so often while the store goes on. */
const EVERY_MS = 2000;

/**
 * @param {{model: import("./model.js").Model, path: (part: string) => string, at: () => number | null, redraw: () => void}} page
 * @param {HTMLSelectElement} select
 * @param {HTMLElement} legend
 * @param {HTMLElement} side where it is said that the truth is shown, or why not
 */
export function colours(page, select, legend, side) {
  const { model } = page;
  let chosen = "fill";
  let asked = -1;
  let isBusy = false;
  let last = 0;

  select.replaceChildren(...Object.keys(COLOURS).map((name) => make("option", { value: name }, t(`colour.${name}`))));

  /** Choose a colour; one that is refused says why, and the one before stays. */
  async function choose(name) {
    const before = chosen;
    chosen = name in COLOURS ? name : "fill";
    select.value = chosen;
    side.hidden = true;
    asked = -1;
    try {
      await refresh(true);
      if (chosen === "truth") say(t("truth.shown"), false);
    } catch (error) {
      const refused = error.status === 403 ? t("truth.refused") : "";
      chosen = before === "truth" ? "fill" : before;
      select.value = chosen;
      await refresh(true).catch(() => {});
      say([refused, wordsOf(error)].filter(Boolean).join("\n"), true);
    }
    return chosen;
  }

  function say(words, isBad) {
    side.textContent = words;
    side.className = isBad ? "notice bad" : "notice";
    side.hidden = false;
  }

  /** Ask for the values again if the store has gone on; at most every two seconds unless it must be. */
  async function refresh(isNow = false, facts = 0) {
    const by = COLOURS[chosen];
    if (by === "boxes") {
      if (model.colouring.by !== "boxes" || isNow) {
        model.colouring = { by, unit: "boxes", keys: null, values: [], most: 0 };
        show();
        page.redraw();
      }
      return;
    }
    const now = performance.now();
    if (!isNow && (isBusy || facts === asked || now - last < EVERY_MS)) return;
    [isBusy, last, asked] = [true, now, facts];
    try {
      const told = await get(page.path("/racks"), { by, at: page.at(), view: by === "differs" ? "truth" : null });
      if (by !== COLOURS[chosen]) return;
      const most = told.values.reduce((found, value) => Math.max(found, value ?? 0), 0);
      model.colouring = { by, unit: told.unit, keys: told.keys, values: told.values, most };
      show();
      page.redraw();
    } finally {
      isBusy = false;
    }
  }

  const patches = (...tones) => tones.map((tone) => make("i", { class: tone }));
  const scale = () => patches("s1", "s2", "s3", "s4", "s5");

  function show() {
    const { by, keys, most } = model.colouring;
    const [old, tooOld] = model.old;
    const parts = {
      boxes: () => [make("span", {}, t("status.empty")), ...patches("s0"), ...scale(), make("span", {}, t("status.full"))],
      age: () => [make("span", {}, "0"), ...scale(), make("span", {}, `${old} ${t("unit.days")}`), ...patches("warn"), make("span", {}, `> ${old}`), ...patches("bad"), make("span", {}, `> ${tooOld}`)],
      sku: () => keys.flatMap((key, k) => [...patches(`k${Math.min(6, k)}`), make("span", {}, key)]),
      visits: () => [make("span", {}, "0"), ...patches("s0"), ...scale(), make("span", {}, `${number(most)} ${t("legend.visits")}`)],
      count: () => [...patches("none"), make("span", {}, t("legend.never")), ...patches("s1"), make("span", {}, t("legend.as_recorded")), ...patches("warn"), make("span", {}, t("legend.one_off")), ...patches("bad"), make("span", {}, t("legend.more"))],
      differs: () => [...patches("s1"), make("span", {}, t("legend.right")), ...patches("warn"), make("span", {}, t("legend.one_wrong")), ...patches("bad"), make("span", {}, t("legend.more"))],
    };
    legend.replaceChildren(...parts[by]());
  }

  return { choose, refresh, get chosen() { return chosen; } };
}
