"use strict";
// The page reads without this; here are sorting, filters, pages and copying.
(() => {
  const find = (id) => document.getElementById(id);
  const number = (text) => parseFloat(text.replace(/,/g, ""));

  const table = find("table");
  if (table) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row, place) => ({
      row,
      place,
      cells: Array.from(row.cells, (cell) => cell.textContent),
      tags: Array.from(row.cells[1].querySelectorAll("bdi"), (tag) => tag.textContent),
      duplicate: row.classList.contains("dup"),
      text: row.textContent.toLowerCase(),
    }));
    const heads = Array.from(table.tHead.rows[0].cells);
    const filters = find("filters");
    let shown = rows, page = 0;

    const draw = () => {
      const size = Number(find("f-rows").value);
      const pages = Math.max(1, Math.ceil(shown.length / size));
      page = Math.min(Math.max(page, 0), pages - 1);
      const first = page * size;
      const visible = shown.slice(first, first + size);
      body.replaceChildren(...visible.map((each) => each.row));
      const count = (n) => n.toLocaleString("en");
      const which = shown.length ? `${count(first + 1)} to ${count(first + visible.length)} of ` : "";
      const all = shown.length < rows.length ? ` (${count(rows.length)} in all)` : "";
      find("status").textContent = `${which}${count(shown.length)}${all}`;
      find("previous").disabled = page === 0;
      find("next").disabled = page === pages - 1;
    };

    const filter = () => {
      const group = find("f-class").value, tag = find("f-tag").value;
      const words = find("f-text").value.toLowerCase().split(/\s+/).filter(Boolean);
      const unique = find("f-dup").checked;
      shown = rows.filter((each) =>
        (!group || each.cells[2] === group) &&
        (!tag || each.tags.includes(tag)) &&
        (!unique || !each.duplicate) &&
        words.every((word) => each.text.includes(word)));
      page = 0;
      draw();
    };

    const sort = (column, descending) => {
      const numeric = heads[column].classList.contains("n");
      const sign = descending ? -1 : 1;
      rows.sort((a, b) => {
        const left = a.cells[column].trim(), right = b.cells[column].trim();
        if (!left || !right) return (left ? 0 : 1) - (right ? 0 : 1) || a.place - b.place;
        const order = numeric ? number(left) - number(right) : left.localeCompare(right, "en", { numeric: true });
        return sign * order || a.place - b.place;
      });
      heads.forEach((head, index) => {
        if (index === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      filter();
    };

    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => {
        const was = head.getAttribute("aria-sort");
        // Numbers are looked at from the largest down, places and names from the first on.
        const down = head.classList.contains("n") && column > 0;
        sort(column, was ? was === "ascending" : down);
      });
      head.replaceChildren(button);
    });
    heads[0].setAttribute("aria-sort", "ascending");
    filters.addEventListener("submit", (event) => event.preventDefault());
    filters.addEventListener("input", filter);
    filters.addEventListener("reset", () => setTimeout(filter));
    find("previous").addEventListener("click", () => { page -= 1; draw(); });
    find("next").addEventListener("click", () => { page += 1; draw(); });
    filters.hidden = find("pages").hidden = false;
    filter();
  }

  const reveal = () => {
    const card = /^#m-\w+$/.test(location.hash) && find(location.hash.slice(1));
    if (!card) return;
    card.open = true;
    card.scrollIntoView();
    card.querySelector("summary").focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#m-"]');
    // The same link again changes no hash.
    if (link && link.hash === location.hash) reveal();
  });
  reveal();

  for (const block of document.querySelectorAll(".sql")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy the SQL";
    button.addEventListener("click", async () => {
      const said = (text) => {
        button.textContent = text;
        setTimeout(() => { button.textContent = "Copy the SQL"; }, 2000);
      };
      try {
        await navigator.clipboard.writeText(block.textContent);
        said("Copied");
      } catch {
        getSelection().selectAllChildren(block);
        said("Selected: press Ctrl+C");
      }
    });
    block.after(button);
  }

  // On paper all cards are open.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = Array.from(document.querySelectorAll("details:not([open])"));
    for (const each of closed) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of closed) each.open = false; });
})();
