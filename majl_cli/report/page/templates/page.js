"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const metrics = new Map(data.keys.map((metric) => [metric.key, metric]));
  const collator = new Intl.Collator(undefined, { numeric: true });
  const ROWS_AT_ONCE = 200;

  const number = (value) => (value === "inf" ? Infinity : value === "-inf" ? -Infinity : value);

  function shown(value, digits) {
    value = number(value);
    if (value === null || value === undefined) return "–";
    const size = Number.isFinite(value) ? Math.abs(value).toFixed(digits) : "∞";
    return (value < 0 ? "−" : "") + size;
  }

  function element(name, text, attributes = {}) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  // ---- every track -------------------------------------------------------------------------------------------

  const rows = data.estimators.flatMap((estimator, place) =>
    estimator.track.map((track, row) => ({
      estimator: place,
      track: data.tracks[track],
      group: data.groups[estimator.group[row]],
      seconds: estimator.seconds[row],
      score: (key) => estimator.scores[key]?.[row],
      notes: (estimator.notes[row] || []).join("; "),
      error: estimator.errors[row] || "",
    })),
  );
  for (const row of rows) {
    const error = row.error && `failed: ${row.error}`;
    const words = [row.track, row.group, row.notes, error, data.estimators[row.estimator].name];
    row.words = words.join("\n").toLowerCase();
  }

  const table = document.getElementById("every-track");
  const box = table.parentElement;
  const filter = document.getElementById("filter");
  const estimatorChoice = document.getElementById("estimator");
  const partChoice = document.getElementById("part");
  const sorting = { name: "", descending: false };
  let found = [];
  let columns = [];

  function columnsOf(part) {
    const text = (name, get) => ({ id: name, name, text: true, get, cell: get });
    const list = [text("track", (row) => row.track), text("estimator", (row) => data.estimators[row.estimator].name)];
    if (data.groups.some(Boolean)) list.push(text("group", (row) => row.group));
    list.push({ id: "s", name: "length, s", get: (row) => row.seconds, cell: (row) => shown(row.seconds, 1) });
    for (const metric of data.keys) {
      if (part !== "*" && metric.part !== part) continue;
      const place = part === "*" ? data.parts.find((each) => each.key === metric.part).name + ": " : "";
      list.push({
        id: metric.key,
        name: `${place}${metric.name}, ${metric.unit}`,
        title: metric.kind,
        get: (row) => number(row.score(metric.key)),
        cell: (row) => shown(row.score(metric.key), metric.digits),
      });
    }
    if (rows.some((row) => row.notes)) list.push({ ...text("notes", (row) => row.notes), kind: "notes" });
    return list;
  }

  function compare(column, descending) {
    const sign = descending ? -1 : 1;
    return (a, b) => {
      const [x, y] = [column.get(a), column.get(b)];
      // What has no score comes last, whichever way the rest is sorted.
      const empty = (value) => value === null || value === undefined || value === "";
      if (empty(x) || empty(y)) return empty(x) - empty(y);
      return sign * (column.text ? collator.compare(x, y) : x === y ? 0 : x < y ? -1 : 1);
    };
  }

  function bodyRow(row) {
    const line = element("tr");
    if (data.estimators[row.estimator].framing) line.className = "framing";
    let told = false;
    for (const column of columns) {
      if (row.error && !column.text) {
        // The message takes the place of all figures.
        if (!told) line.append(element("td", `failed: ${row.error}`, { class: "error", colspan: figures() }));
        told = true;
        continue;
      }
      const name = column === columns[0] ? "th" : "td";
      const cell = element(name, column.cell(row), column.text ? {} : { class: "number" });
      if (name === "th") cell.scope = "row";
      if (column.kind) cell.className = column.kind;
      line.append(cell);
    }
    return line;
  }

  const figures = () => columns.filter((column) => !column.text).length;

  function more() {
    const drawn = table.tBodies[0].rows.length;
    table.tBodies[0].append(...found.slice(drawn, drawn + ROWS_AT_ONCE).map(bodyRow));
  }

  function head() {
    const line = element("tr");
    for (const column of columns) {
      const cell = element("th", undefined, { scope: "col", ...(column.text ? {} : { class: "number" }) });
      if (column.title) cell.title = column.title;
      if (column.id === sorting.name) cell.setAttribute("aria-sort", sorting.descending ? "descending" : "ascending");
      const button = element("button", column.name, { type: "button" });
      button.addEventListener("click", () => {
        sorting.descending = sorting.name === column.id && !sorting.descending;
        sorting.name = column.id;
        draw();
        table.tHead.querySelector("[aria-sort] button").focus({ preventScroll: true });
      });
      cell.append(button);
      line.append(cell);
    }
    table.tHead.replaceChildren(line);
  }

  function draw() {
    columns = columnsOf(partChoice.value);
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = estimatorChoice.value;
    found = rows.filter(
      (row) => (only === "*" || row.estimator === Number(only)) && words.every((word) => row.words.includes(word)),
    );
    const by = columns.find((column) => column.id === sorting.name);
    if (by) found.sort(compare(by, sorting.descending));
    head();
    table.tBodies[0].replaceChildren();
    more();
    box.scrollTop = 0;
    const all = found.length === rows.length;
    document.getElementById("count").value = all ? `${rows.length} rows` : `${found.length} of ${rows.length} rows`;
  }

  function startTable() {
    estimatorChoice.append(element("option", "all", { value: "*" }));
    data.estimators.forEach((each, place) => estimatorChoice.append(element("option", each.name, { value: place })));
    for (const part of data.parts) partChoice.append(element("option", part.name, { value: part.key }));
    if (data.parts.length > 1) partChoice.append(element("option", "all", { value: "*" }));
    box.addEventListener("scroll", () => {
      if (box.scrollTop + box.clientHeight > box.scrollHeight - 600) more();
    });
    const form = filter.form;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", draw);
    form.hidden = box.hidden = false;
    draw();
  }

  // ---- distributions: name the track under the pointer, and show where it lies for all estimators -------------

  function pointsOf(svg, key) {
    const estimator = data.estimators[svg.dataset.estimator];
    const column = estimator.scores[key] || [];
    const kept = column.map((value, row) => row).filter((row) => typeof column[row] === "number");
    const moves = [...svg.querySelectorAll(".points path")].map((path) => path.getAttribute("d")).join("");
    const places = moves.split("M").slice(1).map((move) => move.split(/[ h]/).map(Number));
    return places.map(([x, y], place) => ({ x, y, track: estimator.track[kept[place]], value: column[kept[place]] }));
  }

  function nearest(points, svg, event) {
    const frame = svg.getBoundingClientRect();
    const scale = frame.width / svg.viewBox.baseVal.width;
    let best;
    let least = 14;
    for (const point of points) {
      const apart = Math.hypot(point.x * scale - (event.clientX - frame.left), point.y - (event.clientY - frame.top));
      if (apart < least) [best, least] = [point, apart];
    }
    return best;
  }

  function startFigure(figure) {
    const key = figure.dataset.key;
    const metric = metrics.get(key);
    const readout = figure.querySelector(".readout");
    const strips = [...figure.querySelectorAll(".dots")].map((svg) => ({ svg }));
    const load = () => strips.forEach((strip) => (strip.points ??= pointsOf(strip.svg, key)));

    function point(track) {
      figure.querySelectorAll(".pointed").forEach((mark) => mark.remove());
      readout.replaceChildren();
      if (track === undefined) return;
      readout.append(element("b", data.tracks[track]));
      for (const { svg, points } of strips) {
        const { name, track: tracks, scores } = data.estimators[svg.dataset.estimator];
        const value = scores[key]?.[tracks.indexOf(track)] ?? null;
        if (value !== null) readout.append(` · ${name} ${shown(value, metric.digits)} ${metric.unit}`);
        const own = points.find((each) => each.track === track);
        if (!own) continue;
        const mark = document.createElementNS("http://www.w3.org/2000/svg", "path");
        mark.setAttribute("class", "pointed");
        mark.setAttribute("d", `M${own.x} ${own.y}h0`);
        svg.append(mark);
      }
    }

    for (const strip of strips) {
      strip.svg.addEventListener("pointermove", (event) => {
        load();
        point(nearest(strip.points, strip.svg, event)?.track);
      });
    }
    figure.addEventListener("pointerleave", () => point(undefined));
  }

  startTable();
  document.querySelectorAll("figure.strip").forEach(startFigure);
})();
