"use strict";
// Searches and filters the table of answers. Without it every row is shown.
(() => {
  const form = document.getElementById("filters");
  const hits = document.getElementById("hits");
  if (!form || !hits) return;
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/\s+/g, " ");
  const rows = Array.from(document.querySelectorAll("#answers-table tbody tr"), (row) => ({
    row, text: plain(row.textContent), facts: row.dataset,
  }));
  const selects = Array.from(form.querySelectorAll("select"));
  const apply = () => {
    const words = plain(form.elements.search.value).split(" ").filter(Boolean);
    let count = 0;
    for (const { row, text, facts } of rows) {
      const fits = words.every((word) => text.includes(word))
        && selects.every(({ name, value }) => !value || facts[name] === value);
      row.hidden = !fits;
      count += fits;
    }
    hits.textContent = `${count} of ${rows.length} answers`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  form.hidden = false;
  apply();
})();
