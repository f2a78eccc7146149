// Filters tables: of each, the rows that have all the words. Without this script all
// rows are there, and no field to filter them.
export function windmpFilters(root) {
  for (const bar of root.querySelectorAll(".filter")) {
    const field = bar.querySelector("input");
    const count = bar.querySelector(".count");
    const rows = Array.from(bar.nextElementSibling.querySelectorAll("tbody tr"), (row) => [row, row.textContent.toLowerCase()]);
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const [row, text] of rows) {
        row.hidden = !words.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = words.length ? shown + " of " + rows.length : "";
    });
    bar.hidden = false;
  }
}
