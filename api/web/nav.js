/** The links in the head of every page: the pages, and the other language. */

import { address, lang, t } from "./i18n.js";
import { make } from "./make.js";

const PAGES = { live: "/ui/", compare: "/ui/compare", runs: "/ui/runs", help: "/ui/help" };

/** Fill the head's <nav>; the page at hand is marked. @param {keyof typeof PAGES} here */
export function pages(here) {
  const links = Object.entries(PAGES).map(([name, path]) =>
    make("a", { href: address(path), "aria-current": name === here ? "page" : false, id: `page-${name}` }, t(name)));
  const other = lang === "zh" ? "en" : "zh";
  const change = make("a", { id: "language", lang: other === "zh" ? "zh-CN" : "en", hreflang: other }, other === "zh" ? "中文" : "English");
  const point = () => {
    const query = new URLSearchParams(location.search);
    query.set("lang", other);
    change.href = `${location.pathname}?${query}`;
  };
  point();
  change.addEventListener("click", point);
  document.querySelector(".head nav").replaceChildren(...links, change);
}
