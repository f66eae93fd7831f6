/** A box that asks for something before it is done: it stays until that is done, and says why when it cannot be. */

import { wordsOf } from "./api.js";
import { t } from "./i18n.js";
import { button, make } from "./make.js";

/**
 * @param {{id: string, title: string, yes: string}} what
 * @param {(Node | null)[]} parts between the title and the buttons
 * @param {() => Promise<void>} doing what the first button does; the box closes when it is done
 */
export function ask({ id, title, yes }, parts, doing) {
  const wrong = make("p", { class: "bad", role: "alert", hidden: true });
  const go = make("button", { class: "main", id }, yes);
  const form = make("form", {}, make("h2", { id: `${id}-title` }, title), ...parts, wrong, make("div", { class: "buttons" }, go, button(t("cancel"), () => dialog.close())));
  const dialog = make("dialog", { "aria-labelledby": `${id}-title` }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    wrong.hidden = true;
    try {
      await doing();
      dialog.close();
    } catch (error) {
      wrong.textContent = wordsOf(error);
      wrong.hidden = false;
      go.disabled = false;
    }
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  go.focus();
}

/** Words over an input. @param {string} words @param {...Node} inputs */
export function field(words, ...inputs) {
  return make("label", { class: "field" }, words, ...inputs);
}
