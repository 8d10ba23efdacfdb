"use strict";
document.querySelectorAll("table.sortable th button").forEach(function (button) {
  button.addEventListener("click", function () {
    var head = button.parentNode, table = head.closest("table"), body = table.tBodies[0];
    var column = head.cellIndex, down = head.getAttribute("aria-sort") === "ascending", sign = down ? -1 : 1;
    table.querySelectorAll("th").forEach(function (th) { th.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    var keyed = Array.from(body.rows, function (row) {
      var cell = row.cells[column], key = cell.dataset.key;
      var value = key === undefined ? cell.textContent : key === "" ? null : Number(key);
      return [value === "\u2013" ? null : value, row];
    });
    keyed.sort(function (a, b) {
      if (a[0] === null || b[0] === null) { return (a[0] === null) - (b[0] === null); }
      return sign * (typeof a[0] === "number" ? a[0] - b[0] : a[0].localeCompare(b[0]));
    });
    keyed.forEach(function (pair) { body.appendChild(pair[1]); });
  });
});
function reveal() {
  var chosen = location.hash && document.getElementById(location.hash.slice(1));
  if (chosen && chosen.tagName === "DETAILS") { chosen.open = true; }
}
window.addEventListener("hashchange", reveal);
window.addEventListener("beforeprint", function () {
  document.querySelectorAll("details").forEach(function (d) { d.open = true; });
});
reveal();
