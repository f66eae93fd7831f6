/**
 * The store as the page shows it: what it looks like now, or at an instant of the past that was asked for.
 *
 * Both views of the racks, the detail pane and the wall read one Model; `main.js` keeps it. Slots are numbered
 * as in the snapshot, rows, columns and levels from 1, aisles from 1, x in metres from the cross-aisle.
 *
 * @typedef {{slot: string, row: number, column: number, level: number, capacity: number}} Slot
 * @typedef {object} Robot
 * @property {string} name R1, R2 ...
 * @property {number | null} column of the slot that it goes to or works at, null when that is no slot
 * @property {number | null} level
 * @property {number | null} row
 * @property {number} load boxes on board
 * @property {string} activity
 * @property {string | null} from place where its stretch began
 * @property {string | null} to place where it ends
 * @property {number} height of its fork, in metres
 * @property {number} since
 * @property {number | null} arrive
 * @property {number | null} end
 * @property {number | null} task
 * @property {number} battery in percent
 * @typedef {{t: number, fill: number[], flags: number[], robots: Robot[]}} View
 * @typedef {{by: string, unit: string, keys: string[] | null, values: (number | null)[], most: number}} Colouring
 * @typedef {{aisle: number, x: number}} Spot
 */

export const BLOCKED = 1;
export const HELD = 2;

export class Model {
  constructor() {
    this.run = "";
    this.name = "";
    this.start = "2026-01-01T00:00:00";
    this.end = 0;
    /** @type {Slot[]} */
    this.slots = [];
    /** @type {Map<string, number>} */
    this.index = new Map();
    this.rows = this.columns = this.levels = 0;
    /** @type {View} */
    this.live = { t: 0, fill: [], flags: [], robots: [] };
    /** @type {View | null} */
    this.past = null;
    /** @type {Colouring} */
    this.colouring = { by: "boxes", unit: "boxes", keys: null, values: [], most: 0 };
    /** Ages in days beyond which stock is an alert, and not to be issued. */
    this.old = [150, 180];
    this.chosen = -1;
    /** What is drawn on slots beside their colour: "best" with its place, "other", "same". @type {Map<number, {kind: string, text: string}>} */
    this.marks = new Map();
    this.layout = { single_sided: false, first_column_m: 1.5, pitch_m: 0.95, level_pitch_m: 1.2, gaps: [], ports: null, chargers: [] };
  }

  /** What is on the screen. @returns {View} */
  get shown() {
    return this.past ?? this.live;
  }

  /** Take a snapshot over; true when the racks themselves are others than before. */
  take(message) {
    const whole = message.snapshot;
    const isNew = whole.run !== this.run || whole.slots.length !== this.slots.length;
    this.run = whole.run;
    this.name = whole.name;
    this.start = whole.start;
    this.end = whole.end_s;
    if (isNew) {
      this.slots = whole.slots;
      this.index = new Map(whole.slots.map((slot, index) => [slot.slot, index]));
      this.rows = Math.max(0, ...whole.slots.map((slot) => slot.row));
      this.columns = whole.slots.reduce((most, slot) => Math.max(most, slot.column), 0);
      this.levels = whole.slots.reduce((most, slot) => Math.max(most, slot.level), 0);
      this.chosen = -1;
      this.marks.clear();
    }
    this.live = { t: message.t, fill: whole.fill, flags: whole.flags, robots: message.r.map(robotOf) };
    return isNew;
  }

  /** Take a frame over; the slots that have changed. @returns {number[]} */
  follow(frame) {
    this.live.t = frame.t;
    this.live.robots = frame.r.map(robotOf);
    for (const [slot, boxes, flags] of frame.s) {
      this.live.fill[slot] = boxes;
      this.live.flags[slot] = flags ?? 0;
    }
    return frame.s.map((each) => each[0]);
  }

  get aisles() {
    return this.layout.single_sided ? this.rows : Math.ceil(this.rows / 2);
  }

  /** The rows at an aisle. @param {number} aisle */
  rowsAt(aisle) {
    if (this.layout.single_sided) return [aisle];
    return [2 * aisle - 1, 2 * aisle].filter((row) => row <= this.rows);
  }

  /** Where a column stands, in columns from the middle of the first one, gaps counted. @param {number} column */
  offset(column) {
    const gaps = this.layout.gaps.filter((gap) => gap.after_column < column);
    return column - 1 + gaps.reduce((sum, gap) => sum + gap.width_m / this.layout.pitch_m, 0);
  }

  /** Where a column stands along its aisle, in metres. @param {number} column */
  x(column) {
    return this.layout.first_column_m + this.offset(column) * this.layout.pitch_m;
  }

  /** Ports and charging places: what stands at the aisles beside slots. @returns {(Spot & {name: string, kind: string})[]} */
  get fixtures() {
    const { chargers, ports } = this.layout;
    const usual = [{ name: "in", aisle: 1, x_m: 0, serves: "in" }, { name: "out", aisle: Math.min(2, this.aisles), x_m: 0, serves: "out" }];
    return [
      ...(ports ?? usual).map((port) => ({ name: port.name, kind: `port-${port.serves}`, aisle: port.aisle, x: port.x_m ?? 0 })),
      ...chargers.map((charger, k) => ({ name: `charger-${k + 1}`, kind: "charger", aisle: charger.aisle, x: charger.x_m })),
    ];
  }

  /** Where a place is; the mouth of the first aisle for what has no position. @param {string | null} name @returns {Spot} */
  spot(name) {
    const slot = this.slots[this.index.get(name ?? "") ?? -1];
    if (slot) {
      const aisle = this.layout.single_sided ? slot.row : Math.ceil(slot.row / 2);
      return { aisle, x: this.x(slot.column) };
    }
    const found = this.fixtures.find((each) => each.name === name);
    return found ?? { aisle: Number(/^(?:aisle|mouth)-(\d+)$/.exec(name ?? "")?.[1] ?? 1), x: 0 };
  }

  /** Where a robot is at a time, on its way from one place to the next. @param {Robot} robot @param {number} t @returns {Spot} */
  where(robot, t) {
    const there = this.spot(robot.to ?? robot.from);
    if (robot.arrive === null || robot.from === null || t >= robot.arrive || robot.arrive <= robot.since) return there;
    const begun = this.spot(robot.from);
    const share = Math.max(0, (t - robot.since) / (robot.arrive - robot.since));
    if (begun.aisle === there.aisle) return { aisle: there.aisle, x: begun.x + share * (there.x - begun.x) };
    const way = share * (begun.x + there.x);  // out to the cross-aisle, and into the other aisle
    return way < begun.x ? { aisle: begun.aisle, x: begun.x - way } : { aisle: there.aisle, x: way - begun.x };
  }

  /** How much of a slot is taken, 0 to 1. @param {number} slot */
  share(slot) {
    const { capacity } = this.slots[slot];
    return capacity ? Math.min(1, (this.shown.fill[slot] ?? 0) / capacity) : 0;
  }

  /** Whether a slot is coloured as a whole, not as high as it is full. */
  get isWhole() {
    return ["visits", "count", "differs"].includes(this.colouring.by);
  }

  /**
   * The colour of a slot by the choice at hand: "s0" to "s5" light to dark, "k0" to "k6" for kinds, "warn", "bad",
   * "none" where there is nothing to colour. The style sheet has a variable of each name.
   * @param {number} slot
   */
  tone(slot) {
    const { by, values, most } = this.colouring;
    if (by === "boxes") return `s${Math.ceil(5 * this.share(slot))}`;
    const value = values[slot] ?? null;
    if (value === null) return "none";
    if (by === "sku") return `k${Math.min(6, value)}`;
    if (by === "age") return value > this.old[1] ? "bad" : value > this.old[0] ? "warn" : `s${Math.max(1, Math.ceil((5 * value) / this.old[0]))}`;
    if (by === "visits") return `s${most ? Math.ceil((5 * value) / most) : 0}`;
    return value === 0 ? "s1" : value === 1 ? "warn" : "bad";
  }
}

/** @returns {Robot} */
function robotOf([column, level, row, load, activity, from, to, height, since, arrive, end, task, battery], number) {
  return { name: `R${number + 1}`, column, level, row, load, activity, from, to, height, since, arrive, end, task, battery };
}

/** A robot as /runs/{run}/robots tells it. @returns {Robot} */
export function robotAt(told, number, model) {
  const slot = model.slots[model.index.get(told.to_place ?? told.slot ?? "") ?? -1];
  return {
    name: `R${number + 1}`, column: slot?.column ?? null, level: slot?.level ?? null, row: slot?.row ?? null, load: told.boxes.length,
    activity: told.state ?? "idle", from: told.from_place, to: told.to_place ?? told.place, height: told.height_m ?? 0, since: told.since_s ?? 0,
    arrive: told.arrive_s, end: told.end_s, task: told.task, battery: (told.battery_permille ?? 0) / 10,
  };
}
