// Charts and tables from numbers: plain SVG and HTML, made with the DOM alone, so that no text of a record is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// 1234567 as 1.23M; money with its cents while they count.
export function short(n, money = false) {
  const sign = money ? "$" : "";
  const size = Math.abs(n);
  const [unit, name] = size >= 1e9 ? [1e9, "B"] : size >= 1e6 ? [1e6, "M"] : size >= 1e4 ? [1e3, "k"] : [1, ""];
  const value = n / unit;
  if (money && size !== 0 && size < 0.0001) return "<$0.0001";
  if (money && unit === 1) return sign + value.toFixed(size !== 0 && size < 0.1 ? 4 : 2);
  if (unit === 1 && Number.isInteger(value)) return sign + value;
  return sign + value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2) + name;
}

export const swatch = (at) => {
  const box = shape("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
  box.append(shape("rect", { width: 10, height: 10, rx: 2, class: `s${Math.min(at, 6)}` }));
  return box;
};

// Stacked bars: `lines` of {name, values}, all of one length; `time(at)` names a point.
export function bars(place, lines, time, money = false) {
  const [width, height, left, bottom, top] = [place.clientWidth || 420, 150, 56, 18, 8];
  const points = lines.length ? lines[0].values.length : 0;
  const sums = Array.from({ length: points }, (_, at) => lines.reduce((sum, line) => sum + line.values[at], 0));
  const most = Math.max(...sums, 0);
  const chart = shape("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img" });
  const y = (value) => height - bottom - (most ? (value / most) * (height - bottom - top) : 0);
  for (const part of [0, 0.5, 1]) {
    chart.append(shape("line", { x1: left, x2: width, y1: y(most * part), y2: y(most * part), class: "grid" }));
    if (most || !part) chart.append(shape("text", { x: left - 5, y: y(most * part) + 4, "text-anchor": "end" }, short(most * part, money)));
  }
  const step = (width - left) / Math.max(points, 1);
  sums.forEach((sum, at) => {
    if (!sum) return;
    const column = shape("g", {});
    let base = 0;
    lines.forEach((line, index) => {
      const value = line.values[at];
      if (!value) return;
      const rect = { x: left + at * step, width: Math.max(step * 0.86, 0.6), y: y(base + value), height: y(base) - y(base + value), class: `s${Math.min(index, 6)}` };
      column.append(shape("rect", rect));
      base += value;
    });
    const told = lines.map((line) => [line.name, line.values[at]]).filter(([, value]) => value);
    column.append(shape("title", {}, `${time(at)}\n${told.map(([name, value]) => `${name}: ${short(value, money)}`).join("\n")}`));
    chart.append(column);
  });
  for (const at of [0, Math.floor((points - 1) / 2), points - 1].filter((at, index, all) => at >= 0 && all.indexOf(at) === index)) {
    const anchor = at === 0 ? "start" : at === points - 1 ? "end" : "middle";
    chart.append(shape("text", { x: anchor === "end" ? width : left + at * step, y: height - 3, "text-anchor": anchor }, time(at)));
  }
  place.replaceChildren(chart);
}

// Rows of cells: a cell is a text, a number, or an element. `heads` that begin with # are of numbers.
export function table(place, heads, rows, nothing) {
  if (!rows.length) {
    place.replaceChildren(element("p", { class: "soft" }, nothing));
    return;
  }
  const numeric = heads.map((head) => head.startsWith("#"));
  const cell = (value, at) => element("td", numeric[at] ? { class: "n" } : {}, value instanceof Node ? value : String(value ?? ""));
  const head = element("tr", {}, ...heads.map((text, at) => element("th", numeric[at] ? { class: "n" } : {}, text.replace("#", ""))));
  const body = rows.map((row) => element("tr", {}, ...row.map(cell)));
  place.replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}
