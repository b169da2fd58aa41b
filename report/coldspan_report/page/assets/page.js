"use strict";
/* Waterfalls: rows are <details>, which open by themselves; arrow keys go from one to the next. */
for (const trace of document.querySelectorAll("[data-trace]")) {
  const rows = [...trace.querySelectorAll("[data-row] > summary")];
  trace.querySelector(".waterfall").addEventListener("keydown", (event) => {
    const row = event.target.closest("summary");
    if (!row) return;
    const seen = rows.filter((other) => other.offsetParent !== null);
    const at = seen.indexOf(row);
    const next = { ArrowDown: seen[at + 1], ArrowUp: seen[at - 1], Home: seen[0], End: seen[seen.length - 1] }[event.key];
    if (next) next.focus();
    else if (event.key === "ArrowRight") row.parentElement.open = true;
    else if (event.key === "ArrowLeft") row.parentElement.open = false;
    else return;
    event.preventDefault();
  });
  const all = trace.querySelector("[data-all]");
  if (all) {
    const [showAll, showFewer] = [all.textContent, "Show the longer ones only"];
    all.addEventListener("click", () => {
      const isAll = trace.classList.toggle("all");
      all.setAttribute("aria-pressed", isAll);
      all.textContent = isAll ? showFewer : showAll;
    });
  }
}

/* Icicles: zooming is two numbers on the container. Of the cells one at a time can be tabbed to. */
for (const figure of document.querySelectorAll("[data-icicle]")) {
  const container = figure.querySelector(".cells");
  const cells = [...container.children].map((button) => ({
    button,
    depth: Number(button.dataset.depth),
    left: Number(button.dataset.left),
    width: Number(button.dataset.width),
    parent: null,
    children: [],
  }));
  const path = [];
  for (const cell of cells) {
    /* Parents come before their children. */
    path.length = cell.depth;
    cell.parent = path[cell.depth - 1] || null;
    if (cell.parent) cell.parent.children.push(cell);
    path.push(cell);
  }
  const byButton = new Map(cells.map((cell) => [cell.button, cell]));
  const [crumbs, out, detail] = ["[data-crumbs]", "[data-zoom-out]", "[data-detail-of]"].map((each) => figure.querySelector(each));
  const top = cells[0];
  let zoomed = top;

  const line = (cell) => (cell ? [...line(cell.parent), cell] : []);
  const isBelow = (cell, other) => cell === other || (cell.parent !== null && isBelow(cell.parent, other));
  const tell = (cell) => (detail.textContent = cell.button.getAttribute("aria-label"));

  function zoom(cell) {
    zoomed = cell;
    container.style.setProperty("--zoom-left", cell.left);
    container.style.setProperty("--zoom-width", cell.width);
    const above = new Set(line(cell.parent));
    for (const other of cells) {
      other.button.classList.toggle("above", above.has(other));
      other.button.hidden = !above.has(other) && !isBelow(other, cell);
    }
    crumbs.textContent = line(cell).map((each) => each.button.dataset.name).join(" > ");
    out.hidden = cell === top;
    label();
    tell(cell);
  }

  /* Names where there is room for some of them; the others are in the tooltip and the line below. */
  function label() {
    for (const { button, width } of cells) {
      const share = button.classList.contains("above") ? 1 : width / zoomed.width;
      button.classList.toggle("bare", share * container.clientWidth < 28);
    }
  }

  function focus(cell) {
    if (!cell || cell.button.hidden) return;
    for (const { button } of cells) button.tabIndex = -1;
    cell.button.tabIndex = 0;
    cell.button.focus({ preventScroll: false });
  }

  function beside(cell, step) {
    const level = cells.filter((other) => other.depth === cell.depth && !other.button.hidden);
    return level[level.indexOf(cell) + step];
  }

  container.addEventListener("click", (event) => {
    const cell = byButton.get(event.target.closest(".cell"));
    if (!cell) return;
    zoom(cell === zoomed && cell.parent ? cell.parent : cell);
    focus(cell);
  });
  container.addEventListener("focusin", (event) => byButton.has(event.target) && tell(byButton.get(event.target)));
  container.addEventListener("pointerover", (event) => {
    const cell = byButton.get(event.target.closest(".cell"));
    if (cell) tell(cell);
  });
  container.addEventListener("keydown", (event) => {
    const cell = byButton.get(event.target);
    if (!cell) return;
    const moves = {
      ArrowDown: () => focus(cell.children[0]),
      ArrowUp: () => focus(cell.parent),
      ArrowRight: () => focus(beside(cell, 1)),
      ArrowLeft: () => focus(beside(cell, -1)),
      Home: () => focus(top),
      Escape: () => zoom(top),
    };
    if (!moves[event.key]) return;
    moves[event.key]();
    event.preventDefault();
  });
  out.addEventListener("click", () => {
    zoom(zoomed.parent);
    if (zoomed === top) focus(top);
  });
  new ResizeObserver(label).observe(container);
}
