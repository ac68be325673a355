"use strict";
// The page is complete without this script; it adds sorting, filtering, tooltips, choices and a theme.
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const root = document.documentElement;
  const status = document.getElementById("status");
  root.classList.add("js");

  // Sorting: once up, once down, then as the page came; what has nothing to say is always last.
  const order = new Map(all("table.sortable tbody").map((body) => [body, Array.from(body.rows)]));
  const nothing = (cell) => cell.textContent.trim() === "–";
  function compare(a, b, number) {
    if (number) return Number(a.dataset.sort) - Number(b.dataset.sort);
    return a.textContent.localeCompare(b.textContent, "en", { numeric: true });
  }
  function sort(button) {
    const header = button.closest("th");
    const table = header.closest("table");
    const body = table.tBodies[0];
    const column = Number(button.dataset.column);
    const number = "number" in button.dataset;
    const next = { none: "ascending", ascending: "descending", descending: "none" }[header.getAttribute("aria-sort")];
    all("th", table.tHead).forEach((th) => th.setAttribute("aria-sort", "none"));
    header.setAttribute("aria-sort", next);
    const rows = order.get(body).slice();
    if (next !== "none") {
      const sign = next === "ascending" ? 1 : -1;
      rows.sort((x, y) => {
        const [a, b] = [x.cells[column], y.cells[column]];
        if (nothing(a) || nothing(b)) return nothing(a) - nothing(b);
        return sign * compare(a, b, number);
      });
    }
    body.append(...rows);
    status.textContent = next === "none" ? "Rows in the order of the board" : `Sorted by ${button.textContent}, ${next}`;
  }
  all("button.sort").forEach((button) => button.addEventListener("click", () => sort(button)));

  // Filtering by a part of an entry's name, in all tables of entries.
  const filter = document.getElementById("filter");
  function narrow() {
    const wanted = filter.value.trim().toLowerCase();
    const rows = all("table.filtered tbody tr");
    rows.forEach((row) => { row.hidden = !row.dataset.entry.toLowerCase().includes(wanted); });
    const names = new Set(rows.filter((row) => !row.hidden).map((row) => row.dataset.entry));
    status.textContent = wanted ? `${names.size} ${names.size === 1 ? "entry" : "entries"} shown` : "";
  }
  filter.addEventListener("input", narrow);
  if (filter.value) narrow(); // a browser may restore it on reload

  // Tooltips: the explanation of a column, at its header, while that has the pointer or the focus.
  const tip = document.getElementById("tip");
  let explained = null;
  const hide = () => { tip.hidden = true; explained = null; };
  function show(button) {
    const text = document.getElementById(button.getAttribute("aria-describedby"));
    if (!text) return;
    tip.textContent = text.textContent;
    tip.hidden = false;
    explained = button;
    place();
  }
  function place() {
    if (!explained) return;
    const box = explained.getBoundingClientRect();
    const left = Math.min(box.left, window.innerWidth - tip.offsetWidth - 8);
    const below = box.bottom + 8 + tip.offsetHeight <= window.innerHeight;
    tip.style.left = `${Math.max(left, 8)}px`;
    tip.style.top = `${below ? box.bottom + 8 : Math.max(box.top - 8 - tip.offsetHeight, 0)}px`;
  }
  all("button.sort").forEach((button) => {
    button.addEventListener("mouseenter", () => show(button));
    button.addEventListener("focus", () => show(button));
    button.addEventListener("mouseleave", hide);
    button.addEventListener("blur", hide);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  // Moving the focus scrolls the page: the tooltip goes along.
  document.addEventListener("scroll", place, { passive: true, capture: true });

  // One confusion matrix at a time.
  all("details.confusions").forEach((details) => {
    const pick = details.querySelector("select.pick");
    const panels = all(".panel", details);
    const choose = () => panels.forEach((panel, i) => { panel.hidden = i !== pick.selectedIndex; });
    pick.addEventListener("change", choose);
    choose();
  });

  // Curves of single entries on and off.
  all("details.curves").forEach((details) => {
    const boxes = all("input[type=checkbox]", details);
    const apply = () => boxes.forEach((box) => {
      all(`g[data-line="${box.dataset.line}"]`, details).forEach((line) => line.classList.toggle("off", !box.checked));
    });
    boxes.forEach((box) => box.addEventListener("change", apply));
    apply();
  });

  // Light and dark: the system's choice until the reader makes one.
  const theme = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const label = () => theme.setAttribute("aria-pressed", String(dark()));
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); });
  system.addEventListener("change", label);
  label();

  // Paper shows what is folded away on the screen, and all confusion matrices.
  let folded = [];
  let unseen = [];
  window.addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    unseen = all(".panel[hidden]");
    folded.forEach((details) => { details.open = true; });
    unseen.forEach((panel) => { panel.hidden = false; });
  });
  window.addEventListener("afterprint", () => {
    folded.forEach((details) => { details.open = false; });
    unseen.forEach((panel) => { panel.hidden = true; });
  });
})();
