/**
 * The socket of a run: the whole, then frames; what is lost is asked for again, and a broken connection is
 * made anew. Data is applied at once and drawn on the next animation frame, only the newest: a hidden tab
 * draws nothing and keeps nothing.
 */

import { get, protocols } from "./api.js";

const SILENCE_MS = 3000;
const BEGIN_MS = 20000;
const FIRST_MS = 500;
const LAST_MS = 4000;

/**
 * @typedef {object} Listener
 * @property {(message: any) => void} whole takes a snapshot
 * @property {(frame: any) => void} frame takes a frame
 * @property {() => void} draw draws what has come
 * @property {(isThere: boolean) => void} connection is told when the connection is lost and when it is there again
 */

/** Follow a run until the page is left. @param {string} run @param {Listener} listener */
export function follow(run, listener) {
  let sequence = -1;
  let attempts = 0;
  let isThere = null;
  let isAsked = false;
  let drawing = false;
  /** @type {WebSocket | null} */
  let socket = null;
  let silence = 0;

  function tell(now) {
    if (now !== isThere) listener.connection((isThere = now));
  }

  /** Wait for the next message so long; the first one may take its time, since the run may have to be rebuilt. */
  function listen(patience = SILENCE_MS) {
    clearTimeout(silence);
    silence = setTimeout(() => {
      tell(false);
      socket?.close();
    }, patience);
  }

  function draw() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      listener.draw();
    });
  }

  function resync() {
    if (isAsked) return;
    isAsked = true;
    socket?.send('{"resync":1}');
  }

  function take(text) {
    const message = JSON.parse(text);
    listen();
    tell(true);
    if (message.resync) return resync();
    if (message.snapshot) {
      isAsked = false;
      attempts = 0;
      listener.whole(message);
    } else {
      if (isAsked) return;
      if (message.seq !== sequence + 1) return resync();
      listener.frame(message);
    }
    sequence = message.seq;
    draw();
  }

  function open() {
    isAsked = false;
    const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/runs/${run}/live`;
    socket = new WebSocket(address, protocols());
    const own = socket;
    own.addEventListener("message", (event) => {
      if (own === socket) take(event.data);
    });
    own.addEventListener("close", () => {
      if (own !== socket) return;
      clearTimeout(silence);
      if (isThere) silence = setTimeout(() => tell(false), SILENCE_MS - FIRST_MS);
      const wait = Math.min(LAST_MS, FIRST_MS * 2 ** attempts++) * (0.75 + Math.random() / 2);
      setTimeout(again, wait);
    });
    listen(BEGIN_MS);
  }

  /** Connect again; where the server wants a key first, it is asked for. */
  async function again() {
    await get(`/runs/${run}`).catch(() => {});
    open();
  }

  open();
}
