"use strict";
// Sorts and filters the tables of systems, hides systems in tables and charts, keeps all that in the address.
(() => {
  const tables = [...document.querySelectorAll("table[data-systems]")];
  const tools = document.getElementById("tools");
  if (!tools || tables.length === 0) return;
  const state = new URLSearchParams(location.hash.slice(1));
  const rows = () => tables.flatMap((t) => [...t.tBodies[0].rows]);
  const make = (tag, text, attributes = {}) => {
    const node = document.createElement(tag);
    node.textContent = text;
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const systems = new Map();
  for (const row of rows()) systems.set(row.dataset.system, { name: row.dataset.name, ink: row.dataset.ink });
  const hidden = () => new Set((state.get("hide") || "").split(" ").filter((s) => systems.has(s)));
  const set = (key, value) => {
    if (value) state.set(key, value);
    else state.delete(key);
    const text = state.toString();
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
    show();
  };

  // Headers become buttons, so that keys and screen readers reach them.
  for (const table of tables) {
    [...table.tHead.rows[0].cells].forEach((th, column) => {
      const button = make("button", "", { type: "button", class: "sort" });
      button.append(...th.childNodes);
      th.append(button);
      button.addEventListener("click", () => {
        const next = { "": "a", a: "d", d: "" };
        const [by, order] = (state.get("sort") || ".").split(".");
        const now = by === String(column) ? order : "";
        set("sort", next[now] ? column + "." + next[now] : "");
      });
    });
    [...table.tBodies[0].rows].forEach((row, i) => (row.dataset.place = i));
  }
  const value = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.v === undefined) return cell.textContent.trim();
    return cell.dataset.v === "" ? null : Number(cell.dataset.v);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  const sort = () => {
    const [by, order] = (state.get("sort") || ".").split(".");
    for (const table of tables) {
      const body = table.tBodies[0];
      const sorted = [...body.rows].sort((x, y) => {
        if (!order) return x.dataset.place - y.dataset.place;
        const [a, b] = [value(x, by), value(y, by)];
        if (a === null || b === null) return (a === null) - (b === null);
        return order === "a" ? compare(a, b) : compare(b, a);
      });
      body.append(...sorted);
      [...table.tHead.rows[0].cells].forEach((th, i) => {
        const word = { a: "ascending", d: "descending" }[String(i) === by ? order : ""];
        if (word) th.setAttribute("aria-sort", word);
        else th.removeAttribute("aria-sort");
      });
    }
  };

  const filter = make("input", "", { type: "search", id: "filter", placeholder: "name of a system" });
  filter.addEventListener("input", () => set("q", filter.value));
  const label = make("label", "Systems ", { for: "filter" });
  const chips = make("div", "", { class: "chips", role: "group", "aria-label": "Systems that are shown" });
  // Of a large sweep there would be hundreds: there the filter has to do.
  for (const [id, system] of systems.size <= 30 ? systems : []) {
    const chip = make("button", system.name, { type: "button", "data-system": id });
    if (system.ink) chip.prepend(make("span", "", { class: "swatch i" + system.ink }));
    chip.addEventListener("click", () => {
      const off = hidden();
      if (!off.delete(id)) off.add(id);
      set("hide", [...off].join(" "));
    });
    const focus = (on) => document.body.classList.toggle("only-" + system.ink, on && system.ink !== "");
    for (const event of ["mouseenter", "focus"]) chip.addEventListener(event, () => focus(true));
    for (const event of ["mouseleave", "blur"]) chip.addEventListener(event, () => focus(false));
    chips.append(chip);
  }
  const reset = make("button", "Show all", { type: "button" });
  reset.addEventListener("click", () => {
    for (const key of ["q", "hide", "sort"]) state.delete(key);
    set("q", "");
  });
  const note = make("p", "Click a heading to sort, a name to hide it here and in the charts; the address keeps it.", { class: "note" });
  label.append(filter);
  tools.append(label, chips, reset, note);
  tools.hidden = false;

  const show = () => {
    const off = hidden();
    const wanted = (state.get("q") || "").toLowerCase();
    if (filter.value !== (state.get("q") || "")) filter.value = state.get("q") || "";
    for (const row of rows()) {
      row.hidden = off.has(row.dataset.system) || !row.dataset.name.toLowerCase().includes(wanted);
    }
    for (const chip of chips.children) chip.setAttribute("aria-pressed", String(!off.has(chip.dataset.system)));
    for (const [id, system] of systems) {
      if (system.ink) document.body.classList.toggle("off-" + system.ink, off.has(id));
    }
    reset.disabled = off.size === 0 && !wanted && !state.get("sort");
    sort();
  };
  addEventListener("hashchange", () => {
    const next = new URLSearchParams(location.hash.slice(1));
    for (const key of ["q", "hide", "sort"]) {
      if (next.has(key)) state.set(key, next.get(key));
      else state.delete(key);
    }
    show();
  });
  show();
})();
