"use strict";
// Tables sort by a click on a heading, or Enter and space; rows without a number come last either way.
for (const table of document.querySelectorAll("table.sortable")) {
  const said = document.getElementById("said");
  const body = table.tBodies[0];
  for (const button of table.querySelectorAll("th[aria-sort] button")) {
    button.addEventListener("click", () => {
      const heading = button.closest("th");
      const column = Number(heading.dataset.column);
      const order = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const value = (row) => row.cells[column].dataset.value;
      const compare = (one, other) => {
        const [a, b] = [value(one), value(other)];
        if (a === "" || b === "") return (a === "") - (b === "");
        if (heading.dataset.kind === "number") return sign * (Number(a) - Number(b));
        return sign * a.localeCompare(b, undefined, { numeric: true });
      };
      body.append(...Array.from(body.rows).sort(compare));
      said.textContent = `Sorted by ${button.textContent}, ${order}.`;
    });
  }
}
for (const button of document.querySelectorAll("button.toggle")) {
  const table = document.getElementById(button.getAttribute("aria-controls"));
  const show = (all) => {
    table.classList.toggle("main-only", !all);
    button.setAttribute("aria-pressed", String(all));
    for (const group of table.querySelectorAll("tr.groups th")) {
      group.colSpan = Number(all ? group.dataset.all : group.dataset.main) || 1;
      group.hidden = !all && group.dataset.main === "0";
    }
  };
  button.hidden = false;
  button.addEventListener("click", () => show(button.getAttribute("aria-pressed") !== "true"));
  show(false);
}
// Paper cannot be clicked: what is folded away is printed all the same.
const folded = [];
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not([open])")) {
    each.open = true;
    folded.push(each);
  }
});
addEventListener("afterprint", () => {
  for (const each of folded.splice(0)) each.open = false;
});
