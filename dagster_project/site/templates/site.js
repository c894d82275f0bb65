(() => {
  document.documentElement.classList.add("ready");
  const shown = (element) => {
    let text = "";
    for (const node of element.childNodes) {
      if (node.nodeType === 3) { text += node.data; continue; }
      if (node.nodeType !== 1 || node.localName === "small" || node.localName === "svg") continue;
      if (node.classList.contains("t") && node.lang !== document.documentElement.lang) continue;
      text += shown(node);
    }
    return text;
  };
  const figure = (text) => {
    const found = text.replace(/[,\u00a0\s]/g, "").replace(/\u2212/g, "-").match(/^[^\d-]{0,4}(-?)[^\d]{0,4}(\d+(?:\.\d+)?)/);
    return found ? Number(found[1] + found[2]) : null;
  };
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const body = table.tBodies[0];
    const asFirst = [...body.rows];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (head.hasAttribute("data-unsortable")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const numeric = head.classList.contains("num");
        const before = head.getAttribute("aria-sort");
        const next = before === null ? (numeric ? "descending" : "ascending")
          : before === (numeric ? "descending" : "ascending") ? (numeric ? "ascending" : "descending") : null;
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        if (next === null) { body.append(...asFirst); return; }
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        const keyed = asFirst.map((row) => {
          const text = shown(row.cells[column]).trim();
          const date = /^\d{4}-\d\d-\d\d/.test(text);
          return [numeric && !date ? figure(text) : text, row];
        });
        keyed.sort(([one], [two]) => {
          const none = (value) => value === null || value === "" || value === "—";
          if (none(one) || none(two)) return none(one) - none(two);
          return sign * (typeof one === "number" ? one - two : one.localeCompare(two, document.documentElement.lang, { numeric: true }));
        });
        body.append(...keyed.map(([, row]) => row));
      });
    });
  }
  for (const input of document.querySelectorAll("input[data-filter]")) {
    const table = document.getElementById(input.dataset.filter);
    const count = input.parentElement.querySelector("output");
    const texts = [...table.tBodies[0].rows].map((row) => [row, row.textContent.toLowerCase()]);
    input.addEventListener("input", () => {
      const asked = input.value.trim().toLowerCase();
      let left = 0;
      for (const [row, text] of texts) {
        row.hidden = asked !== "" && !text.includes(asked);
        if (!row.hidden) left += 1;
      }
      count.textContent = asked === "" ? "" : `${left} / ${texts.length}`;
    });
  }
  const line = document.querySelector(".timeline");
  const rows = document.getElementById("minute-table");
  if (line && rows) {
    const minutes = Number(line.dataset.minutes);
    const cross = line.querySelector("[data-cross]");
    const readout = document.querySelector("[data-readout]");
    const heads = [...rows.tHead.rows[0].cells];
    const at = (event) => {
      const box = line.getBoundingClientRect();
      return Math.min(Math.max(Math.floor((event.clientX - box.left) / box.width * minutes), 0), minutes - 1);
    };
    line.addEventListener("pointermove", (event) => {
      const minute = at(event);
      const row = rows.tBodies[0].rows[minute];
      cross.hidden = false;
      cross.style.left = `${(minute + 0.5) / minutes * 100}%`;
      readout.textContent = [1, 2, 3, 4, 6, 9, 11, 13, 14].map((column) => `${shown(heads[column])} ${shown(row.cells[column])}`).join(" · ");
    });
    line.addEventListener("pointerleave", () => { cross.hidden = true; readout.textContent = "\u00a0"; });
    line.addEventListener("click", (event) => {
      if (event.target.closest("a")) return;
      location.hash = `m${at(event)}`;
    });
  }
})();
