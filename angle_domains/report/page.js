"use strict";
// Reads a chart under the pointer; the page says everything without it.
for (const plot of document.querySelectorAll(".plot")) {
  const source = plot.querySelector("script");
  if (!source) continue;
  let content = null;
  const cursor = plot.appendChild(Object.assign(document.createElement("div"), { className: "cursor" }));
  const readout = plot.appendChild(Object.assign(document.createElement("div"), { className: "readout" }));

  const nearest = (at) => {
    let low = 0, high = content.at.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (content.at[middle] < at) low = middle + 1; else high = middle;
    }
    return low > 0 && at - content.at[low - 1] < content.at[low] - at ? low - 1 : low;
  };

  const swatch = (style) => style.startsWith("s")
    ? `<svg viewBox="0 0 18 8"><path class="line ${style}" d="M0 4H18"/></svg>`
    : `<svg viewBox="0 0 18 8"><path class="area ${style}" d="M3 0H15V8H3Z"/></svg>`;

  const cell = (text) => Object.assign(document.createElement("td"), { textContent: text });

  const show = (event) => {
    content ??= JSON.parse(source.textContent);
    const box = plot.getBoundingClientRect();
    const index = nearest(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
    const table = document.createElement("table");
    for (const [label, style, values] of content.series) {
      const row = table.insertRow();
      const name = cell(label);
      name.insertAdjacentHTML("afterbegin", swatch(style));
      row.append(name, cell(values[index]));
    }
    readout.replaceChildren(Object.assign(document.createElement("b"), { textContent: content.when[index] }), table);
    cursor.style.cssText = `display:block;left:${100 * content.at[index]}%`;
    readout.style.display = "block";
    const x = content.at[index] * box.width;
    const left = x + 12 + readout.offsetWidth > box.width ? x - 12 - readout.offsetWidth : x + 12;
    readout.style.left = `${Math.max(-40, left)}px`;
  };
  const hide = () => { cursor.style.display = readout.style.display = "none"; };
  plot.addEventListener("pointermove", show);
  plot.addEventListener("pointerdown", show);
  plot.addEventListener("pointerleave", hide);
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
