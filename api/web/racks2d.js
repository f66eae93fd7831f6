/**
 * The racks from the front: for each aisle its rows one above the other, level by level, and under them the
 * aisle itself with ports, charging places and robots.
 *
 * A bar in a cell is as high as the slot is full. One stop of the Tab key; arrows go from slot to slot.
 */

import { t } from "./i18n.js";
import { BLOCKED, HELD } from "./model.js";
import { node, text, title } from "./svg.js";

const CELL = 26;
const HIGH = 28;
const GAP = 20;
const FLASH_MS = 600;
const ABREAST = 0.9;
const ARROWS = { "port-in": "→", "port-out": "←", "port-both": "↔" };

/**
 * @param {HTMLElement} host
 * @param {import("./model.js").Model} model
 * @param {{choose: (slot: number) => void, robot: (number: number) => void}} asked
 */
export function racks2d(host, model, asked) {
  /** @type {{cell: SVGElement, bar: SVGElement, tone: string}[]} */
  let cells = [];
  /** @type {{aisle: number, svg: SVGElement, robots: SVGElement, left: number, width: number, height: number, tops: Map<number, number>}[]} */
  let blocks = [];
  /** Slots that flash, and until when. @type {Map<number, number>} */
  const flashing = new Map();
  let active = -1;
  /** Pixels of a unit, and heights that depend on it, since words are as large at any scale. */
  let scale = 1;
  let head = 18;
  let foot = 36;

  host.setAttribute("role", "grid");
  host.setAttribute("aria-label", t("racks.label"));
  host.tabIndex = 0;

  function build() {
    const kept = active;
    cells = new Array(model.slots.length);
    blocks = [];
    host.replaceChildren();
    measure();
    const inCell = new Map(model.slots.map((slot, index) => [`${slot.row}-${slot.column}-${slot.level}`, index]));
    for (let aisle = 1; aisle <= model.aisles; aisle++) host.append(block(aisle, inCell));
    active = kept < model.slots.length ? kept : -1;
    update();
  }

  const leftOf = () => Math.max(36 / Math.min(1, scale), 14 + (model.layout.first_column_m / model.layout.pitch_m) * CELL - CELL / 2);
  const wideOf = () => leftOf() + (model.offset(model.columns) + 1) * CELL + 8;
  const tallOf = () => Math.min(2, model.rowsAt(1).length) * (head + model.levels * HIGH) + foot + 6;

  /** So many aisles beside each other that all are seen at once as large as can be; whether that has changed. */
  function measure() {
    const room = host.clientWidth || 600;
    const before = scale;
    let [best, size] = [1, 0];
    for (let beside = 1; beside <= Math.min(4, model.aisles); beside++) {
      const factor = (room - GAP * (beside - 1)) / beside / wideOf();
      const tall = Math.ceil(model.aisles / beside) * tallOf() * factor;
      const fits = Math.min(factor, (factor * 640) / Math.max(640, tall), 1.6);
      if ((factor > 0.36 || beside === 1) && fits > size * 1.02) [best, size] = [beside, fits];
    }
    scale = Math.min((room - GAP * (best - 1)) / best / wideOf(), 1.75);
    head = Math.max(18, 15 / scale);
    foot = Math.max(36, 32 / scale);
    host.style.setProperty("--beside", String(best));
    host.style.setProperty("--px", String(1 / scale));
    host.style.setProperty("--robot-size", String(Math.max(1, 0.8 / scale)));
    host.style.setProperty("--most", `${Math.floor(wideOf() * 1.75)}px`);
    host.classList.toggle("tiny", scale < 0.62);
    return Math.abs(scale / before - 1) > 0.02;
  }

  function block(aisle, inCell) {
    const rows = model.rowsAt(aisle);
    const left = leftOf();
    const width = wideOf();
    const height = rows.length * (head + model.levels * HIGH) + foot + 6;
    const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, role: "presentation", class: "aisle" });
    const tops = new Map();
    rows.forEach((row, k) => {
      const top = k * (head + model.levels * HIGH) + head;
      tops.set(row, top);
      svg.append(text(left - 6, top - 5, t("racks.row", { row }), "row-name"));
      for (let column = 1; column <= model.columns; column++) {
        if (column === 1 || column % 5 === 0) svg.append(text(x(left, column) + CELL / 2, top - 4, column, "column-name"));
      }
      for (let level = model.levels; level >= 1; level--) {
        const y = top + (model.levels - level) * HIGH;
        const line = node("g", { role: "row" });
        svg.append(text(left - 6, y + HIGH / 2 + 3, level, "level-name"));
        for (let column = 1; column <= model.columns; column++) {
          const index = inCell.get(`${row}-${column}-${level}`);
          if (index !== undefined) line.append(cell(index, x(left, column), y));
        }
        if (line.firstChild) svg.append(line);
      }
    });
    svg.append(...strip(aisle, left, width, height - foot));
    const robots = node("g");
    svg.append(robots);
    blocks.push({ aisle, svg, robots, left, width, height, tops });
    return svg;
  }

  function cell(index, atX, y) {
    const slot = model.slots[index];
    const group = node("g", { role: "gridcell", id: `slot-${index}`, class: "cell", transform: `translate(${atX} ${y})` });
    group.dataset.slot = index;
    const bar = node("rect", { class: "bar", x: 2, width: CELL - 4, rx: 2 });
    group.append(node("rect", { class: "place", x: 1, y: 1, width: CELL - 2, height: HIGH - 2, rx: 3 }), bar);
    if (!slot.capacity) {
      group.classList.add("closed");
      group.append(node("path", { class: "hatch", d: `M4 ${HIGH - 4}L${CELL - 4} 4M4 ${HIGH / 2}L${CELL / 2} 4M${CELL / 2} ${HIGH - 4}L${CELL - 4} ${HIGH / 2}` }));
    }
    cells[index] = { cell: group, bar, tone: "", high: -1, flags: 0 };
    return group;
  }

  function strip(aisle, left, width, y) {
    const parts = [node("rect", { class: "floor", x: 2, y: y + foot * 0.05, width: width - 4, height: foot / 2, rx: foot / 4 })];
    let free = 2;
    for (const fixture of model.fixtures.filter((each) => each.aisle === aisle).sort((a, b) => a.x - b.x)) {
      const isCharger = fixture.kind === "charger";
      const at = Math.max(along(left, fixture.x) - 4, free);
      const name = isCharger ? `⚡${fixture.name.replace("charger-", "")}` : `${ARROWS[fixture.kind]} ${fixture.name}`;
      const words = text(at, y + foot * 0.9, name, "fixture");
      words.append(title(t(isCharger ? "racks.charger" : "racks.port", { name: fixture.name })));
      parts.push(words, node("path", { class: "foot", d: `M${along(left, fixture.x)} ${y + foot * 0.56}v${foot * 0.1}` }));
      free = at + (8 + 6.2 * name.length) / Math.min(1, scale);
    }
    return parts;
  }

  const x = (left, column) => left + model.offset(column) * CELL;
  const along = (left, metres) => left + CELL / 2 + ((metres - model.layout.first_column_m) / model.layout.pitch_m) * CELL;

  /** Draw what has changed; all of it when nothing is named. @param {number[]} [changed] */
  function update(changed) {
    host.classList.toggle("whole", model.isWhole);
    const slots = changed ?? model.slots.keys();
    for (const slot of slots) paint(slot);
    if (changed) flash(changed);
    robots();
  }

  function paint(slot) {
    const held = cells[slot];
    if (!held) return;
    const tone = model.tone(slot);
    const share = model.isWhole ? (tone === "none" ? 0 : 1) : model.share(slot);
    const high = Math.round(share * (HIGH - 4) * 4) / 4;
    if (tone !== held.tone) held.bar.setAttribute("class", `bar ${(held.tone = tone)}`);
    if (high !== held.high) {
      held.high = high;
      held.bar.setAttribute("y", String(HIGH - 2 - high));
      held.bar.setAttribute("height", String(high));
    }
    const flags = model.shown.flags[slot] ?? 0;
    if (flags !== held.flags) {
      held.flags = flags;
      held.cell.querySelector(".flag")?.remove();
      if (flags & BLOCKED) held.cell.append(node("path", { class: "flag blocked", d: `M6 7L${CELL - 6} ${HIGH - 7}M${CELL - 6} 7L6 ${HIGH - 7}` }));
      else if (flags & HELD) held.cell.append(node("path", { class: "flag held", d: `M${CELL / 2} 7V${HIGH / 2 + 3}M${CELL / 2} ${HIGH - 9}V${HIGH - 7}` }));
    }
  }

  function flash(changed) {
    const until = performance.now() + FLASH_MS;
    for (const slot of changed) {
      if (!flashing.has(slot)) cells[slot]?.cell.classList.add("changed");
      flashing.set(slot, until);
    }
  }

  /** Put out what has flashed long enough. */
  function cool() {
    const now = performance.now();
    for (const [slot, until] of flashing) {
      if (until > now) continue;
      cells[slot]?.cell.classList.remove("changed");
      flashing.delete(slot);
    }
  }

  /** Every robot where it is: at the level it serves, and in the aisle. */
  function robots() {
    cool();
    const { robots: all, t: now } = model.shown;
    for (const each of blocks) {
      const wanted = all.map((robot, number) => ({ robot, number, spot: { ...model.where(robot, now) } })).filter(({ spot }) => spot.aisle === each.aisle);
      const there = new Map([...each.robots.children].map((child) => [Number(child.dataset.robot), child]));
      const taken = [];
      for (const { robot, number, spot } of wanted) {
        const apart = ABREAST * model.layout.pitch_m * Math.max(1, 0.8 / scale);
        while (taken.some((x) => Math.abs(x - spot.x) < 0.99 * apart)) spot.x += apart;  // side by side, not one on the other
        taken.push(spot.x);
        const mark = there.get(number) ?? each.robots.appendChild(robotMark(robot, number));
        there.delete(number);
        draw(mark, robot, spot, each);
      }
      for (const gone of there.values()) gone.remove();
    }
  }

  function robotMark(robot, number) {
    const mark = node("g", { class: "robot" });
    mark.dataset.robot = number;
    const tall = node("g");
    const low = node("g");
    for (const [part, rx] of [[tall, 4], [low, 7]]) {
      part.append(node("g", { class: "sized" }, node("rect", { x: -11, y: -7, width: 22, height: 14, rx }), text(0, 3.6, robot.name)));
    }
    low.append(title(""));
    mark.append(node("line", { class: "mast" }), low, tall);
    return mark;
  }

  function draw(mark, robot, spot, { left, height, tops }) {
    const [mast, low, tall] = mark.children;
    const at = along(left, spot.x);
    const floor = height - foot + foot * 0.3;
    low.style.transform = `translate(${at}px, ${floor}px)`;
    low.querySelector("title").textContent = words(robot);
    mark.classList.toggle("down", robot.activity === "down" || robot.activity === "fault");
    const top = tops.get(robot.row);
    const is = robot.row !== null && top !== undefined;
    tall.toggleAttribute("hidden", !is);
    mast.toggleAttribute("hidden", !is);
    if (!is) return;
    const y = top + (model.levels - robot.level + 0.5) * HIGH;
    tall.style.transform = `translate(${at}px, ${y}px)`;
    mast.style.transform = `translate(${at}px, ${y}px)`;
    mast.setAttribute("y2", String(floor - y));
  }

  const words = (robot) => `${robot.name}: ${t(`activity.${robot.activity}`)}${robot.task === null ? "" : `, ${t("task")} ${robot.task}`}, ${robot.load} ${t("unit.boxes")}`;

  /** Frame the chosen slot, and what is marked beside it. */
  function choose() {
    host.querySelectorAll(".chosen").forEach((each) => each.classList.remove("chosen"));
    cells[model.chosen]?.cell.classList.add("chosen");
    if (model.chosen >= 0) point(model.chosen);
    host.querySelectorAll(".mark").forEach((each) => each.remove());
    for (const [slot, mark] of model.marks) {
      const group = node("g", { class: `mark ${mark.kind}` });
      group.append(node("rect", { x: 1, y: 1, width: CELL - 2, height: HIGH - 2, rx: 3 }), node("circle", { cx: CELL / 2, cy: HIGH / 2, r: 8 }), text(CELL / 2, HIGH / 2 + 3.6, mark.text, ""));
      cells[slot]?.cell.append(group);
    }
  }

  /** Move the keyboard's place to a slot. */
  function point(slot) {
    cells[active]?.cell.classList.remove("active");
    active = slot;
    const held = cells[slot];
    if (!held) return;
    held.cell.classList.add("active");
    held.cell.setAttribute("aria-label", label(slot));
    host.setAttribute("aria-activedescendant", `slot-${slot}`);
  }

  function label(slot) {
    const { slot: name, capacity } = model.slots[slot];
    const flags = model.shown.flags[slot] ?? 0;
    return `${name}: ${t("racks.of", { boxes: model.shown.fill[slot] ?? 0, capacity })}${flags & BLOCKED ? `, ${t("status.blocked")}` : flags & HELD ? `, ${t("status.held")}` : ""}`;
  }

  /** The slot to which a key leads, going over openings. */
  function next(key) {
    if (active < 0) return 0;
    const { row, column, level } = model.slots[active];
    const steps = {
      ArrowRight: [0, 1, 0], ArrowLeft: [0, -1, 0], ArrowUp: [0, 0, 1], ArrowDown: [0, 0, -1], PageUp: [-1, 0, 0], PageDown: [1, 0, 0],
    };
    if (key === "Home" || key === "End") {
      const own = [...model.slots.keys()].filter((k) => model.slots[k].row === row && model.slots[k].level === level);
      return key === "Home" ? own[0] : own[own.length - 1];
    }
    const [r, c, l] = steps[key];
    for (let k = 1; k <= Math.max(model.rows, model.columns, model.levels); k++) {
      const found = model.slots.findIndex((each) => each.row === row + k * r && each.column === column + k * c && each.level === level + k * l);
      if (found >= 0) return found;
    }
    return active;
  }

  host.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (/^(Arrow|Page|Home|End)/.test(event.key)) {
      point(next(event.key));
      const seen = cells[active]?.cell;
      seen?.scrollIntoView({ block: "nearest", inline: "nearest" });
      event.preventDefault();
    } else if (event.key === "Enter" && active >= 0) {
      asked.choose(active);
      event.preventDefault();
    }
  });
  host.addEventListener("focus", () => {
    if (active < 0) point(Math.max(0, model.chosen));
  });
  host.addEventListener("click", (event) => {
    const robot = event.target.closest?.("[data-robot]");
    if (robot) return asked.robot(Number(robot.dataset.robot));
    const found = event.target.closest?.("[data-slot]");
    if (found) asked.choose(Number(found.dataset.slot));
  });
  const hint = document.createElement("div");
  hint.className = "hint";
  hint.hidden = true;
  document.body.append(hint);
  host.addEventListener("pointermove", (event) => {
    const found = event.target.closest?.("[data-slot]");
    hint.hidden = !found || event.pointerType === "touch";
    if (hint.hidden) return;
    hint.textContent = label(Number(found.dataset.slot)) + extra(Number(found.dataset.slot));
    hint.style.transform = `translate(${Math.min(event.clientX + 14, innerWidth - 240)}px, ${event.clientY + 16}px)`;
  });
  host.addEventListener("pointerleave", () => { hint.hidden = true; });

  function extra(slot) {
    const { by, values, keys } = model.colouring;
    const value = values[slot] ?? null;
    if (by === "boxes" || value === null) return "";
    return `; ${t(`by.${by}`)}: ${keys ? keys[value] : `${value}${by === "age" ? ` ${t("unit.days")}` : ""}`}`;
  }

  new ResizeObserver(() => {
    if (!measure()) return;
    build();
    choose();
  }).observe(host);
  build();
  return { build, update, robots, choose, point };
}
