/**
 * The store in three dimensions on a plain 2D canvas, without WebGL.
 *
 * Slots stand in a grid. Drawn row by row, level by level, column by column from the far end of each axis to
 * the near one, as seen by the eye, what stands in front covers what stands behind: no depth buffer is needed,
 * text stays crisp, and a machine without a graphics card draws it as well.
 */

import { t } from "./i18n.js";
import { BLOCKED } from "./model.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {[number, number, number]} Point x along the aisle, y across the aisles, z up; metres */

const VIEWS = { reset: [-0.36, 0.6], front: [0, 0.14], above: [0, 1.5] };
const EYE = 3.6; // distance of the eye, in radii of the store
const FLASH_MS = 600;
const FLASHES = 60; // more slots that change at once do not flash
const SLOW_MS = 9; // what takes longer is drawn with the data only, not at every frame of the screen

/** Draw the racks of a model and keep them up to date. @param {HTMLCanvasElement} canvas @param {Model} model */
export function racks3d(canvas, model) {
  const pen = canvas.getContext("2d");
  canvas.tabIndex = 0;
  let store = geometry(model);
  let built = model.slots;
  let laid = model.layout;
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
  const isDark = matchMedia("(prefers-color-scheme: dark)");
  let [azimuth, elevation] = VIEWS.reset;
  let zoom = 1;
  /** @type {ReturnType<typeof camera>} */ let eye;
  let asked = 0;
  let took = 0;
  let hovered = -1;
  let fill = [...model.shown.fill];
  /** @type {Map<number, number>} */ const flashes = new Map();
  /** @type {Point[]} */ let robots = [];
  /** What can be chosen, in the order of drawing. @type {{slot?: number, robot?: number, at: number[]}[]} */ let drawn = [];
  /** @type {{robot: number, x: number, y: number}[]} */ let badges = [];

  function ask() {
    if (!asked) asked = requestAnimationFrame(draw);
  }

  function update() {
    if (built !== model.slots || laid !== model.layout) {
      store = geometry(model);
      built = model.slots;
      laid = model.layout;
      fill = [...model.shown.fill];
      hovered = -1;
    }
    const now = performance.now();
    const { fill: boxes } = model.shown;
    const isWhole = boxes.filter((each, slot) => each !== fill[slot]).length > FLASHES; // another instant
    for (let slot = 0; slot < boxes.length; slot += 1) {
      if (fill[slot] === boxes[slot]) continue;
      fill[slot] = boxes[slot];
      if (!isWhole) flashes.set(slot, now);
    }
    ask();
  }

  function draw() {
    asked = 0;
    const began = performance.now();
    const scale = Math.min(devicePixelRatio || 1, 2);
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (!store) return;
    eye = camera(store, azimuth, elevation, zoom, width, height);
    const look = palette(canvas, isDark.matches);
    const isMoving = moveRobots();
    drawn = [];
    badges = [];
    floor(pen, eye, store, look);
    const away = (y) => Math.abs(y - eye.at[1]);
    const nearest = Math.min(...store.rows.map((row) => away(row.y))); // it would hide the aisle behind it
    const things = [
      ...store.rows.map((row) => ({ y: row.y, draw: () => drawRow(row, look, store.rows.length > 1 && elevation < 1.2 && away(row.y) === nearest ? 0.3 : 1) })),
      ...robots.map((at, robot) => ({ y: at[1], draw: () => drawRobot(at, robot, look) })),
    ];
    things.sort((a, b) => away(b.y) - away(a.y));
    for (const thing of things) thing.draw();
    outline(hovered, look.muted, 1.5);
    for (const [slot, { kind }] of model.marks) outline(slot, kind === "best" ? look.good : look.mark, 2);
    outline(model.chosen, look.choice, 3);
    labels(pen, eye, store, look);
    for (const badge of badges) drawBadge(badge, look);
    took = performance.now() - began;
    for (const [slot, since] of flashes) if (began - since > FLASH_MS) flashes.delete(slot);
    if (flashes.size) setTimeout(ask, took > SLOW_MS ? 200 : 50);
    if (isMoving && took < SLOW_MS) ask();
  }

  /** Bring the robots nearer to where they are; whether they are still under way. */
  function moveRobots() {
    let isMoving = false;
    const isJump = isCalm.matches || took > SLOW_MS;
    const { robots: told, t: now } = model.shown;
    robots = told.map((robot, index) => {
      const { aisle, x } = model.where(robot, now);
      const goal = /** @type {Point} */ ([x, (aisle - 1) * store.apart, robot.height]);
      const shown = robots[index];
      if (!shown || isJump || Math.abs(shown[1] - goal[1]) > 0.01) return goal;
      const step = shown.map((value, axis) => value + (goal[axis] - value) * 0.25);
      if (Math.hypot(goal[0] - step[0], goal[2] - step[2]) < 0.01) return goal;
      isMoving = true;
      return /** @type {Point} */ (step);
    });
    return isMoving;
  }

  function drawRow(row, look, opaque) {
    pen.globalAlpha = opaque;
    const levels = [...row.levels].sort((a, b) => Math.abs(b.z - eye.at[2]) - Math.abs(a.z - eye.at[2]));
    for (const level of levels) {
      const isFromAbove = eye.at[2] > level.z;
      if (isFromAbove) boards(row, level, look);
      const cells = [...level.cells].sort((a, b) => Math.abs(b.x - eye.at[0]) - Math.abs(a.x - eye.at[0]));
      for (const cell of cells) drawCell(row, level, cell, look);
      if (!isFromAbove) boards(row, level, look);
    }
    posts(row, look);
    pen.globalAlpha = 1;
  }

  function boards(row, level, look) {
    for (const [from, to] of level.boards) {
      cuboid(pen, eye, [from, row.y - row.deep, level.z - 0.06], [to, row.y + row.deep, level.z], look.board);
    }
  }

  function posts(row, look) {
    const y = eye.at[1] < row.y ? row.y - row.deep : row.y + row.deep;
    pen.strokeStyle = look.post;
    pen.lineWidth = Math.max(0.5, Math.min(2, eye.unit * 0.04));
    pen.beginPath();
    for (const [x, top] of row.posts) {
      pen.moveTo(...eye.see([x, y, 0]));
      pen.lineTo(...eye.see([x, y, top]));
    }
    pen.stroke();
  }

  function drawCell(row, level, cell, look) {
    const { slot, x } = cell;
    const low = [x - store.wide, row.y - row.deep, level.z];
    const high = [x + store.wide, row.y + row.deep, level.z + store.tall];
    const faces = seen(eye, low, high);
    for (const face of faces) drawn.push({ slot, at: face.at });
    const { capacity } = model.slots[slot];
    const share = model.isWhole ? 1 : model.share(slot);
    if (share > 0 && capacity) {
      const colours = flashes.has(slot) ? look.shades(look.flash) : look.tone(model.tone(slot));
      cuboid(pen, eye, low, [high[0], high[1], level.z + store.tall * share], colours, store.isLarge ? null : look.paper);
    }
    const flags = model.shown.flags[slot];
    if (flags || !capacity) cross(low, high, row, flags & BLOCKED ? look.bad : flags ? look.mark : look.post);
  }

  /** A cross over the side of a slot that is blocked, on hold or without places. */
  function cross(low, high, row, colour) {
    const y = eye.at[1] < row.y ? low[1] : high[1];
    pen.strokeStyle = colour;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(...eye.see([low[0], y, low[2]]));
    pen.lineTo(...eye.see([high[0], y, high[2]]));
    pen.moveTo(...eye.see([high[0], y, low[2]]));
    pen.lineTo(...eye.see([low[0], y, high[2]]));
    pen.stroke();
  }

  function outline(slot, colour, thick) {
    if (slot < 0 || slot >= model.slots.length) return;
    pen.strokeStyle = colour;
    pen.lineWidth = thick;
    pen.lineJoin = "round";
    for (const face of drawn) {
      if (face.slot !== slot) continue;
      trace(pen, face.at);
      pen.stroke();
    }
  }

  function drawRobot(at, robot, look) {
    const [x, y, z] = at;
    const red = look.shades(look.robot);
    const part = (low, high, colours) => {
      cuboid(pen, eye, low, high, colours);
      for (const face of seen(eye, low, high)) drawn.push({ robot, at: face.at });
    };
    part([x - 0.38, y - 0.28, 0.05], [x + 0.38, y + 0.28, 0.4], red);
    const mast = eye.at[0] > x ? x - 0.26 : x + 0.26;
    part([mast - 0.06, y - 0.08, 0.4], [mast + 0.06, y + 0.08, store.top + 0.25], look.mast);
    part([x - 0.3, y - 0.3, z + 0.42], [x + 0.34, y + 0.3, z + 0.52], red);
    const { load } = model.shown.robots[robot];
    if (load) part([x - 0.22, y - 0.25, z + 0.52], [x + 0.28, y + 0.25, z + 0.62 + 0.1 * Math.min(load, 5)], look.load);
    const [left, up] = eye.see([x, y, store.top + 0.55]);
    badges.push({ robot, x: left, y: up });
  }

  function drawBadge({ robot, x, y }, look) {
    const { name, activity } = model.shown.robots[robot];
    const text = `${name}${["down", "fault"].includes(activity) ? " !" : ""}`;
    pen.font = `650 12px ${look.font}`;
    const wide = pen.measureText(text).width + 12;
    pen.fillStyle = look.robot;
    pen.beginPath();
    pen.roundRect(x - wide / 2, y - 10, wide, 19, 5);
    pen.fill();
    pen.fillStyle = look.onRobot;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(text, x, y);
  }

  /** What is drawn at a place of the canvas, in CSS pixels from its corner: a slot or a robot, or its name. @returns {{slot?: number, robot?: number}} */
  function at(x, y) {
    return badges.find((each) => Math.abs(each.x - x) < 16 && Math.abs(each.y - y) < 12) ?? drawn.findLast((face) => isInside(face.at, x, y)) ?? {};
  }

  /** The slot that is drawn there. @returns {number | null} */
  const pick = (x, y) => at(x, y).slot ?? null;

  /** The robot that is drawn there. @returns {number | null} */
  const robot = (x, y) => at(x, y).robot ?? null;

  /** Look from "front", from "above", or as in the beginning. @param {string} name */
  function view(name) {
    [azimuth, elevation] = VIEWS[name] ?? VIEWS.reset;
    zoom = 1;
    ask();
  }

  function turn(dx, dy) {
    azimuth -= dx;
    elevation = Math.max(0.04, Math.min(1.5, elevation + dy));
    ask();
  }

  function bring(factor) {
    zoom = Math.max(0.6, Math.min(6, zoom * factor));
    ask();
  }

  // --- pointer and keys

  const ending = new AbortController();
  const while_ = { signal: ending.signal };
  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY };
  }, while_);
  canvas.addEventListener("pointermove", (event) => {
    if (!held || !event.buttons) {
      const over = pick(event.offsetX, event.offsetY) ?? -1;
      const name = over >= 0 ? model.slots[over].slot : model.shown.robots[robot(event.offsetX, event.offsetY) ?? -1]?.name ?? "";
      canvas.style.cursor = name ? "pointer" : "grab";
      canvas.title = name;
      if (over !== hovered) {
        hovered = over;
        ask();
      }
      return;
    }
    if (!canvas.hasPointerCapture(event.pointerId)) {
      if (Math.hypot(event.clientX - held.x, event.clientY - held.y) < 4) return;
      canvas.setPointerCapture(event.pointerId);
    }
    turn((event.clientX - held.x) / 250, (event.clientY - held.y) / 250);
    held = { x: event.clientX, y: event.clientY };
    canvas.style.cursor = "grabbing";
  }, while_);
  // A turn of the store is no choice of a slot.
  let isTurned = false;
  canvas.addEventListener("gotpointercapture", () => { isTurned = true; }, while_);
  canvas.addEventListener("pointerup", () => { held = null; }, while_);
  canvas.addEventListener("click", (event) => {
    if (isTurned) event.stopImmediatePropagation();
    isTurned = false;
  }, { ...while_, capture: true });
  canvas.addEventListener("pointerleave", () => {
    hovered = -1;
    ask();
  }, while_);
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== canvas) return; // the page scrolls
    event.preventDefault();
    bring(Math.exp(-event.deltaY / 400));
  }, { ...while_, passive: false });
  canvas.addEventListener("dblclick", () => view("reset"), while_);
  canvas.addEventListener("keydown", (event) => {
    const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
    if (event.key in turns) turn(turns[event.key][0], turns[event.key][1]);
    else if (event.key === "+" || event.key === "=") bring(1.15);
    else if (event.key === "-") bring(1 / 1.15);
    else if (event.key === "0") view("reset");
    else return;
    event.preventDefault();
    event.stopPropagation();
  }, while_);
  isDark.addEventListener("change", ask, while_);
  const sizes = new ResizeObserver(ask);
  sizes.observe(canvas);
  ask();

  function dispose() {
    ending.abort();
    sizes.disconnect();
    cancelAnimationFrame(asked);
    asked = -1;
  }

  return { update, pick, robot, view, dispose };
}

// --- where everything is ----------------------------------------------------------------------------------

/** Rows, levels, cells and places of a model in metres. @param {Model} model */
function geometry(model) {
  if (!model.slots.length) return null;
  const { layout } = model;
  const pitch = layout.pitch_m;
  const storey = layout.level_pitch_m;
  const apart = layout.aisle_pitch_m ?? 2.7;
  const ground = layout.first_level_m ?? 0;
  const deep = Math.max(0.15, Math.min(0.42, apart * 0.145));
  const aisleOf = (row) => (layout.single_sided ? row : Math.ceil(row / 2)) - 1;
  const isLeft = (row) => layout.single_sided || row % 2 === 1;
  const rowAt = (row) => aisleOf(row) * apart + (isLeft(row) ? -1 : 1) * (apart / 2 - deep - 0.04);

  /** @type {Map<number, any>} */ const rows = new Map();
  for (const [slot, { row, column, level }] of model.slots.entries()) {
    const x = model.x(column), z = ground + storey * (level - 1);
    if (!rows.has(row)) rows.set(row, { row, y: rowAt(row), deep, levels: new Map(), columns: new Map() });
    const found = rows.get(row);
    if (!found.levels.has(level)) found.levels.set(level, { z, cells: [] });
    found.levels.get(level).cells.push({ slot, x });
    found.columns.set(column, { x, top: Math.max(z + storey * 0.3, found.columns.get(column)?.top ?? 0) });
  }
  for (const found of rows.values()) {
    found.levels = [...found.levels.values()];
    for (const level of found.levels) level.boards = stretches(level.cells.map((cell) => cell.x), pitch);
    found.posts = uprights([...found.columns.values()], pitch);
    found.firstColumn = Math.min(...found.columns.keys());
  }
  const aisles = new Set(model.slots.map((slot) => aisleOf(slot.row)));
  const columns = [...new Map(model.slots.map((slot) => [slot.column, model.x(slot.column)]))].sort((a, b) => a[0] - b[0]);
  const ys = [...rows.values()].map((row) => row.y);
  const top = Math.max(...model.slots.map((slot) => ground + storey * slot.level));
  const low = [Math.min(-0.8, columns[0][1] - pitch), Math.min(0, ...ys) - deep, 0];
  const high = [columns[columns.length - 1][1] + pitch * 0.6, Math.max(0, ...ys) + deep, top];
  return {
    rows: [...rows.values()], fixtures: model.fixtures, columns, apart, pitch, low, high, top,
    aisles: [...aisles].map((aisle) => aisle * apart), wide: pitch * 0.44, tall: storey * 0.86,
    isLarge: model.slots.length > 1000,
  };
}

/** Stretches of columns that stand side by side. @param {number[]} xs @param {number} pitch */
function stretches(xs, pitch) {
  const found = [];
  for (const x of [...xs].sort((a, b) => a - b)) {
    const last = found[found.length - 1];
    if (last && x - pitch / 2 - last[1] < pitch * 0.1) last[1] = x + pitch / 2;
    else found.push([x - pitch / 2, x + pitch / 2]);
  }
  return found;
}

/** Uprights beside columns: where, and how high. @param {{x: number, top: number}[]} columns @param {number} pitch */
function uprights(columns, pitch) {
  const found = new Map();
  for (const { x, top } of columns) {
    for (const at of [x - pitch / 2, x + pitch / 2]) {
      const key = Math.round(at * 100);
      found.set(key, Math.max(top, found.get(key) ?? 0));
    }
  }
  return [...found].map(([key, top]) => [key / 100, top]);
}

// --- the eye ----------------------------------------------------------------------------------------------

/** An eye that sees the whole store in the middle of the canvas. */
function camera(store, azimuth, elevation, zoom, width, height) {
  const middle = store.low.map((value, axis) => (value + store.high[axis]) / 2);
  const radius = Math.hypot(...store.low.map((value, axis) => store.high[axis] - value)) / 2;
  const [sin, cos, up, flat] = [Math.sin(azimuth), Math.cos(azimuth), Math.sin(elevation), Math.cos(elevation)];
  const at = [middle[0] + EYE * radius * sin * flat, middle[1] - EYE * radius * cos * flat, middle[2] + EYE * radius * up];
  const project = ([x, y, z]) => {
    const dx = x - at[0], dy = y - at[1], dz = z - at[2];
    const depth = Math.max(0.01, -dx * sin * flat + dy * cos * flat - dz * up);
    return [(dx * cos + dy * sin) / depth, -(-dx * sin * up + dy * cos * up + dz * flat) / depth];
  };
  let [left, right, over, under] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const x of [store.low[0], store.high[0]]) {
    for (const y of [store.low[1], store.high[1]]) {
      for (const z of [0, store.high[2] + 0.6]) {
        const [sx, sy] = project([x, y, z]);
        [left, right, over, under] = [Math.min(left, sx), Math.max(right, sx), Math.min(over, sy), Math.max(under, sy)];
      }
    }
  }
  const focal = zoom * Math.min((width - 56) / (right - left), (height - 56) / (under - over));
  const [cx, cy] = [width / 2 - (focal * (left + right)) / 2, height / 2 - (focal * (over + under)) / 2];
  const see = (point) => {
    const [sx, sy] = project(point);
    return /** @type {[number, number]} */ ([cx + focal * sx, cy + focal * sy]);
  };
  return { at, see, unit: focal / (EYE * radius) };
}

/** The sides of a cuboid that the eye sees: which, and their corners on the canvas. */
function seen(eye, low, high) {
  const [[x0, y0, z0], [x1, y1, z1]] = [low, high];
  const [ex, ey, ez] = eye.at;
  const faces = [];
  const add = (side, ...corners) => faces.push({ side, at: corners.flatMap(eye.see) });
  if (ex > x1) add(1, [x1, y0, z0], [x1, y1, z0], [x1, y1, z1], [x1, y0, z1]);
  else if (ex < x0) add(1, [x0, y0, z0], [x0, y1, z0], [x0, y1, z1], [x0, y0, z1]);
  if (ey > y1) add(0, [x0, y1, z0], [x1, y1, z0], [x1, y1, z1], [x0, y1, z1]);
  else if (ey < y0) add(0, [x0, y0, z0], [x1, y0, z0], [x1, y0, z1], [x0, y0, z1]);
  if (ez > z1) add(2, [x0, y0, z1], [x1, y0, z1], [x1, y1, z1], [x0, y1, z1]);
  else if (ez < z0) add(1, [x0, y0, z0], [x1, y0, z0], [x1, y1, z0], [x0, y1, z0]);
  return faces;
}

/** @param {string[]} colours of front, side and top @param {string | null} [edge] colour of its edges */
function cuboid(pen, eye, low, high, colours, edge = null) {
  for (const face of seen(eye, low, high)) {
    pen.fillStyle = colours[face.side];
    trace(pen, face.at);
    pen.fill();
    if (!edge) continue;
    pen.strokeStyle = edge;
    pen.lineWidth = 0.6;
    pen.stroke();
  }
}

function trace(pen, at) {
  pen.beginPath();
  pen.moveTo(at[0], at[1]);
  for (let index = 2; index < at.length; index += 2) pen.lineTo(at[index], at[index + 1]);
  pen.closePath();
}

/** Whether a point lies in a four-cornered outline. @param {number[]} at */
function isInside(at, x, y) {
  let isIn = false;
  for (let a = 0, b = at.length - 2; a < at.length; b = a, a += 2) {
    if (at[a + 1] > y !== at[b + 1] > y && x < ((at[b] - at[a]) * (y - at[a + 1])) / (at[b + 1] - at[a + 1]) + at[a]) isIn = !isIn;
  }
  return isIn;
}

// --- floor, words, colours --------------------------------------------------------------------------------

function floor(pen, eye, store, look) {
  const [[x0, y0], [x1, y1]] = [store.low, store.high];
  const plate = (left, near, right, far, colour) => {
    pen.fillStyle = colour;
    trace(pen, [[left, near, 0], [right, near, 0], [right, far, 0], [left, far, 0]].flatMap(eye.see));
    pen.fill();
  };
  plate(x0 - 0.4, y0 - 0.5, x1 + 0.2, y1 + 0.5, look.floor);
  for (const y of store.aisles) plate(-0.4, y - store.apart * 0.17, x1 + 0.2, y + store.apart * 0.17, look.aisle);
  plate(-0.4, y0 - 0.5, 0.4, y1 + 0.5, look.aisle);
  for (const { kind, aisle, x } of store.fixtures) {
    const y = (aisle - 1) * store.apart;
    if (kind === "charger") plate(x - 0.5, y - 0.4, x + 0.5, y + 0.4, look.charger);
    else plate(x - 0.75, y - 0.45, x - 0.15, y + 0.45, look.port);
  }
}

function labels(pen, eye, store, look) {
  pen.font = `12px ${look.font}`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  const write = (text, point) => {
    pen.strokeStyle = look.paper;
    pen.lineWidth = 4;
    pen.lineJoin = "round";
    pen.strokeText(text, ...eye.see(point));
    pen.fillStyle = look.muted;
    pen.fillText(text, ...eye.see(point));
  };
  const isFront = eye.at[1] < (store.low[1] + store.high[1]) / 2;
  const edge = isFront ? store.low[1] - 0.35 : store.high[1] + 0.35;
  for (const [column, x] of store.columns) if (column === 1 || column % 5 === 0) write(String(column), [x, edge, 0]);
  const side = eye.at[0] > (store.low[0] + store.high[0]) / 2 ? store.high[0] + 0.35 : store.low[0] - 0.25;
  if (store.rows.length <= 6) for (const row of store.rows) write(t("racks.row", { row: row.row }), [side, row.y, store.high[2] * 0.02]);
  for (const { name, kind, aisle, x } of store.fixtures) {
    if (kind !== "charger") write(name, [x - 0.45, (aisle - 1) * store.apart, 0.1]);
  }
}

const onePixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

/** Colours of the page's theme, and of the three sides of things. */
function palette(canvas, isDark) {
  const style = getComputedStyle(canvas);
  const named = (name) => style.getPropertyValue(`--${name}`).trim();
  const tones = { warn: "warn-fill", bad: "bad-fill" };
  /** @type {Record<string, string[]>} */ const met = {};
  return {
    ...Object.fromEntries(["paper", "muted", "choice", "bad", "mark", "good", "flash", "robot"].map((name) => [name, named(name)])),
    onRobot: named("on-robot"), floor: named("paper"), font: style.fontFamily,
    aisle: isDark ? "#2f3a43" : "#dfe4e3", charger: isDark ? "#31564a" : "#b5d6c4", port: isDark ? "#5a4a2c" : "#ecd7ae",
    post: isDark ? "#6b7986" : "#8c97a1", board: shades(isDark ? "#4a5661" : "#b9c1c8", isDark),
    mast: shades(isDark ? "#8d99a4" : "#5d6975", isDark), load: shades(isDark ? "#caa465" : "#b98b47", isDark),
    shades: (colour) => shades(colour, isDark),
    tone: (name) => (met[name] ??= shades(named(tones[name] ?? name), isDark)),
  };
}

/** @type {Map<string, string[]>} */
const known = new Map();

/** Front, side and top of something of a colour. @param {string} colour @returns {string[]} */
function shades(colour, isDark) {
  const key = colour + isDark;
  if (!known.has(key)) {
    onePixel.fillStyle = colour;
    onePixel.fillRect(0, 0, 1, 1);
    const [r, g, b] = onePixel.getImageData(0, 0, 1, 1).data;
    const mixed = (other, share) => `rgb(${[r, g, b].map((value) => Math.round(value + (other - value) * share)).join(" ")})`;
    if (known.size > 500) known.clear();
    known.set(key, [mixed(0, 0), mixed(0, 0.22), mixed(255, isDark ? 0.16 : 0.32)]);
  }
  return known.get(key);
}
