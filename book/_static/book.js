"use strict";
/* Tables for readers sort by a click on a heading; code that is folded unfolds all at once. */

(function () {
  const number = (text) => {
    const found = text.replace("−", "-").replace(/,/g, "").match(/^(?:< )?(-?[\d.]+)/);
    return found ? parseFloat(found[1]) : null;
  };

  const compare = (first, second) => {
    const [a, b] = [number(first), number(second)];
    if (a !== null && b !== null) return a - b;
    if (a !== null || b !== null) return a === null ? 1 : -1;
    return first.localeCompare(second);
  };

  const sort = (table, heading, column) => {
    const descending = heading.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("th[aria-sort]").forEach((each) => each.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const text = (row) => row.cells[column].textContent.trim();
    rows.sort((a, b) => (descending ? -1 : 1) * compare(text(a), text(b)));
    body.append(...rows);
  };

  const makeSortable = (table) => {
    table.querySelectorAll("thead th").forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Sort by this column";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, heading, column));
      heading.append(button);
    });
  };

  const offerAllCode = () => {
    const folded = Array.from(document.querySelectorAll("details.hide.above-input"));
    const title = document.querySelector("article h1");
    if (!folded.length || !title) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "all-code btn btn-sm btn-outline-secondary";
    const show = (open) => {
      folded.forEach((each) => (each.open = open));
      button.textContent = open ? "Hide all code" : "Show all code";
      button.setAttribute("aria-pressed", String(open));
    };
    button.addEventListener("click", () => show(button.getAttribute("aria-pressed") !== "true"));
    show(false);
    title.after(button);
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("table.readable").forEach(makeSortable);
    offerAllCode();
  });
})();
