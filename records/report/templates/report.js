// The tables, the images and the selection of a report. Every text of the dataset is set as the
// text of an element, and never as HTML.
"use strict";
(() => {
  const ROWS_PER_PAGE = 25;
  const IMAGES_PER_PAGE = 60;
  const MOST_CHOICES = 500;
  const TINY_PX = 64;
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const images = data.images;
  const selected = new Set();
  const order = new Intl.Collator("en", { numeric: true });
  const find = (id) => document.getElementById(id);

  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value === true) element.setAttribute(key, "");
      else if (value !== false && value !== null) element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

  // Texts of numbers.

  function showBytes(value) {
    const units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let unit = 0;
    for (; value >= 999.5 && unit < units.length - 1; unit += 1) value /= 1000;
    return `${Number(value.toPrecision(3))} ${units[unit]}`;
  }

  // `toLocaleString` would make such an object for each number, which takes most of the time.
  const WHOLE = new Intl.NumberFormat("en");
  const FRACTION = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });
  const FORMATS = {
    count: (value) => WHOLE.format(value),
    number: (value) => FRACTION.format(Number(value.toPrecision(4))),
    percent: (value) => `${(100 * value).toFixed(1)} %`,
    bytes: showBytes,
  };

  function show(value, kind) {
    if (value === null) return "–";
    return typeof value === "number" && FORMATS[kind] ? FORMATS[kind](value) : String(value);
  }

  function countOf(number, thing) {
    return `${WHOLE.format(number)} ${thing}${number === 1 ? "" : "s"}`;
  }

  // Pictures, which are decoded when they come near the window.

  const watcher = new IntersectionObserver(
    (seen) => seen.filter((each) => each.isIntersecting).forEach((each) => load(each.target)),
    { rootMargin: "400px" },
  );

  function load(picture) {
    watcher.unobserve(picture);
    if (!picture.src) picture.src = images[picture.dataset.picture].picture;
  }

  addEventListener("beforeprint", () =>
    document.querySelectorAll("img[data-picture]").forEach(load));

  function makePicture(number) {
    const image = images[number];
    const [width, height] = image.size.split("×").map(Number);
    const tiny = Math.max(width, height) <= TINY_PX;
    return make("img", { alt: "", class: tiny ? "tiny" : null, "data-picture": number });
  }

  function makeImage(number, list) {
    const image = images[number];
    const box = make("input", {
      type: "checkbox",
      "aria-label": `Select ${image.key}`,
      "data-image": number,
      onchange: () => select(number, box.checked),
    });
    box.checked = selected.has(number);
    box.disabled = image.line === "";
    const caption = make("figcaption", { dir: "auto", title: image.key }, image.key);
    if (!image.split) return make("figure", { class: "image file" }, box, caption);
    const button = make("button", {
      type: "button",
      class: "show",
      "aria-label": `Show ${image.key}`,
      onclick: () => openViewer(number, list),
    });
    if (image.picture) {
      const picture = makePicture(number);
      button.append(picture);
      watcher.observe(picture);
    } else {
      button.append(image.error ? "damaged" : "no picture");
    }
    const name = `image${selected.has(number) ? " selected" : ""}`;
    return make("figure", { class: name }, box, button, caption);
  }

  // Selection.

  const exactKey = (number) => images[number].line ?? images[number].key;

  function select(number, isSelected) {
    if (isSelected) selected.add(number);
    else selected.delete(number);
    for (const box of document.querySelectorAll(`input[data-image="${number}"]`)) {
      box.checked = isSelected;
      box.parentElement.classList.toggle("selected", isSelected);
    }
    showSelection();
  }

  function showSelection() {
    const choice = find("new-class");
    // There may be thousands of classes, and most pages are only read.
    if (choice && !choice.length) data.classes.forEach((name, label) =>
      choice.append(make("option", { value: label }, name)));
    find("selection").hidden = selected.size === 0;
    find("selected").textContent = `${countOf(selected.size, "image")} selected`;
  }

  const selectedKeys = () => [...new Set([...selected].map(exactKey))].sort();

  function save(name, lines) {
    const content = new Blob([lines.map((line) => `${line}\n`).join("")], { type: "text/plain" });
    const link = make("a", { href: URL.createObjectURL(content), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function startSelection() {
    find("save-keys").addEventListener("click", () => save("keys.txt", selectedKeys()));
    find("copy-keys").hidden = !navigator.clipboard;
    find("copy-keys").addEventListener("click", async () => {
      await navigator.clipboard.writeText(selectedKeys().join("\n"));
      find("selected").textContent = `${countOf(selected.size, "key")} copied`;
    });
    find("clear").addEventListener("click", () =>
      [...selected].forEach((number) => select(number, false)));
    const commands = [
      `shardmill remove ${data.dataset} --keys keys.txt`,
      "shardmill convert SOURCE OUTPUT --exclude keys.txt",
    ];
    const choice = find("new-class");
    if (choice) {
      find("save-classes").addEventListener("click", () =>
        save("corrections.jsonl", selectedKeys().map((key) =>
          JSON.stringify({ key, class: data.classes[choice.value] }))));
      commands.push(`shardmill relabel ${data.dataset} corrections.jsonl`);
    }
    find("commands").textContent = commands.join("\n");
  }

  // Viewer of one image.

  const viewer = { list: [], place: 0 };

  function openViewer(number, list) {
    viewer.list = list;
    viewer.place = list.indexOf(number);
    showInViewer();
    find("viewer").showModal();
  }

  function showInViewer() {
    const number = viewer.list[viewer.place];
    const image = images[number];
    find("viewer-title").textContent = image.key;
    const picture = image.picture ? makePicture(number) : null;
    if (picture) load(picture);
    find("viewer-picture").replaceChildren(picture ?? (image.error || "This image has no picture here."));
    const facts = {
      class: image.classes, split: image.split, size: image.size, format: image.format,
      "stored size": image.bytes === undefined ? "" : showBytes(image.bytes),
      changes: image.changes || "none", "exact key": image.line ?? "",
    };
    find("viewer-facts").replaceChildren(
      ...Object.entries(facts).filter(([, value]) => value).map(([name, value]) =>
        make("div", {}, make("dt", {}, name), make("dd", {}, make("bdi", {}, value)))),
    );
    find("viewer-select").checked = selected.has(number);
    find("viewer-select").disabled = image.line === "";
    find("previous").disabled = viewer.place === 0;
    find("next").disabled = viewer.place === viewer.list.length - 1;
  }

  function step(by) {
    const place = viewer.place + by;
    if (place < 0 || place >= viewer.list.length) return;
    viewer.place = place;
    showInViewer();
  }

  function startViewer() {
    find("close").addEventListener("click", () => find("viewer").close());
    find("previous").addEventListener("click", () => step(-1));
    find("next").addEventListener("click", () => step(1));
    find("viewer-select").addEventListener("change", (event) =>
      select(viewer.list[viewer.place], event.target.checked));
    find("viewer").addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    });
  }

  // Filters and pages, which tables and galleries share.

  function makeFilters(title, textAt, choices, onChange) {
    const search = make("input", { type: "search", "aria-label": `Filter ${title}`, placeholder: "Filter", oninput: onChange });
    const lists = [];
    for (const { name, values } of choices) {
      const distinct = [...new Set(values)].sort(order.compare);
      if (distinct.length < 2 || distinct.length > MOST_CHOICES) continue;
      const list = make("select", { "aria-label": `${name} of ${title}`, onchange: onChange },
        make("option", { value: "" }, `${name}: all`),
        ...distinct.map((value, place) => make("option", { value: place + 1 }, value || "none")));
      lists.push({ list, values, distinct });
    }
    // The texts of all rows are made when the first word is typed.
    const cached = [];
    const hasWords = (place) => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      if (!words.length) return true;
      cached[place] ??= textAt(place).toLowerCase();
      return words.every((word) => cached[place].includes(word));
    };
    const accepts = (place) =>
      hasWords(place) &&
      lists.every(({ list, values, distinct }) =>
        list.value === "" || values[place] === distinct[list.value - 1]);
    return { elements: [search, ...lists.map((each) => each.list)], accepts };
  }

  function makePager(perPage, onChange) {
    const pager = { page: 0, elements: [] };
    const text = make("span", { "aria-live": "polite" });
    const go = (by) => () => { pager.page += by; onChange(); };
    const back = make("button", { type: "button", onclick: go(-1) }, "Previous page");
    const next = make("button", { type: "button", onclick: go(1) }, "Next page");
    pager.elements = [text, back, next];
    pager.cut = (items, total, thing) => {
      const pages = Math.max(1, Math.ceil(items.length / perPage));
      pager.page = Math.max(0, Math.min(pager.page, pages - 1));
      back.hidden = next.hidden = pages === 1;
      back.disabled = pager.page === 0;
      next.disabled = pager.page === pages - 1;
      const shown = items.length === total ? countOf(total, thing)
        : `${WHOLE.format(items.length)} of ${countOf(total, thing)}`;
      text.textContent = pages === 1 ? shown : `${shown}, page ${pager.page + 1} of ${pages}`;
      return items.slice(pager.page * perPage, (pager.page + 1) * perPage);
    };
    return pager;
  }

  // Tables.

  function textOf(cell, column) {
    if (column.kind !== "images") return show(cell, column.kind);
    return cell.map((number) => `${images[number].key} ${images[number].classes ?? ""}`).join(" ");
  }

  function compare(one, other, kind) {
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one === "number") return one - other;
    if (kind === "images") return order.compare(images[one[0]]?.key ?? "", images[other[0]]?.key ?? "");
    return order.compare(one, other);
  }

  function makeTable(part) {
    const columns = part.columns.map((column) => ({ kind: "text", ...column }));
    const textAt = (row) =>
      part.rows[row].map((cell, place) => textOf(cell, columns[place])).join(" ");
    const isRight = (column) => column.kind !== "text" && column.kind !== "images";
    const most = columns.map((column, place) =>
      column.bars ? part.rows.reduce((greatest, row) => Math.max(greatest, row[place] ?? 0), 0) : 0);
    const sorting = { place: -1, sign: 1 };
    let places = part.rows.map((_, place) => place);
    const body = make("tbody");
    const choices = columns.flatMap((column, place) =>
      column.choices ? [{ name: column.name, values: part.rows.map((row) => String(row[place])) }] : []);
    const filters = makeFilters(part.title, textAt, choices, () => { pager.page = 0; render(); });
    const pager = makePager(ROWS_PER_PAGE, render);
    const heads = columns.map((column, place) =>
      make("th", { scope: "col", class: isRight(column) ? "right" : null },
        make("button", { type: "button", onclick: () => sort(place) }, column.name)));

    function sort(place) {
      const isAgain = sorting.place === place;
      // The first click on numbers shows the largest ones.
      sorting.sign = isAgain ? -sorting.sign : isRight(columns[place]) ? -1 : 1;
      sorting.place = place;
      const { kind } = columns[place];
      const known = (row) => row[place] !== null;
      places.sort((one, other) => {
        const [first, second] = [part.rows[one], part.rows[other]];
        const sign = known(first) && known(second) ? sorting.sign : 1;
        return sign * compare(first[place], second[place], kind) || one - other;
      });
      heads.forEach((head, number) => {
        if (number !== place) head.removeAttribute("aria-sort");
        else head.setAttribute("aria-sort", sorting.sign > 0 ? "ascending" : "descending");
      });
      pager.page = 0;
      render();
    }

    function makeCell(cell, place) {
      const column = columns[place];
      if (column.kind === "images") {
        const list = make("div", { class: "images" }, ...cell.map((number) => makeImage(number, cell)));
        return make("td", {}, list);
      }
      const element = make("td", { class: isRight(column) ? "right" : null, dir: isRight(column) ? null : "auto" }, show(cell, column.kind));
      if (column.bars && most[place] > 0) {
        const bar = make("span", { class: "bar", "aria-hidden": "true" });
        bar.style.width = `${(100 * (cell ?? 0)) / most[place]}%`;
        element.classList.add("barred");
        element.append(bar);
      }
      return element;
    }

    function render() {
      const found = places.filter((place) => filters.accepts(place));
      const shown = pager.cut(found, part.rows.length, "row");
      body.replaceChildren(...shown.map((place) =>
        make("tr", {}, ...part.rows[place].map(makeCell))));
    }

    render();
    const tools = part.rows.length > 5 ? [...filters.elements, ...pager.elements] : [];
    return make("div", { class: "part" },
      ...(tools.length ? [make("div", { class: "tools" }, ...tools)] : []),
      make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": part.title },
        make("table", {}, make("caption", {}, part.title),
          make("thead", {}, make("tr", {}, ...heads)), body)),
      ...(part.note ? [make("p", { class: "note" }, part.note)] : []));
  }

  // Galleries.

  function makeGallery(part) {
    const list = part.images;
    const textAt = (place) => `${images[list[place]].key} ${images[list[place]].classes}`;
    const choices = ["classes", "split"].map((name) => ({
      name: name === "classes" ? "class" : name, values: list.map((number) => images[number][name] ?? ""),
    }));
    const filters = makeFilters(part.title, textAt, choices, () => { pager.page = 0; render(); });
    const pager = makePager(IMAGES_PER_PAGE, render);
    const grid = make("div", { class: "images" });

    function render() {
      const found = list.filter((_, place) => filters.accepts(place));
      const shown = pager.cut(found, list.length, "image");
      grid.replaceChildren(...shown.map((number) => makeImage(number, found)));
    }

    render();
    return make("div", { class: "part" }, make("h3", {}, part.title),
      make("div", { class: "tools" }, ...filters.elements, ...pager.elements), grid);
  }

  // Confusion matrices.

  function makeMatrix(part) {
    const cell = make("div", { class: "part", "aria-live": "polite" });

    function open(row, column) {
      const list = part.examples[`${row},${column}`] ?? [];
      const total = part.counts[row][column];
      const title = row === column ? `${part.labels[row]}, predicted correctly`
        : `${part.labels[row]}, predicted as ${part.labels[column]}`;
      const shown = list.length < total ? `, ${WHOLE.format(list.length)} shown` : "";
      cell.replaceChildren(make("h3", {}, `${title}: ${countOf(total, "image")}${shown}`),
        make("div", { class: "images" }, ...list.map((number) => makeImage(number, list))));
    }

    function makeCell(row, column) {
      const count = part.counts[row][column];
      const element = make("td");
      if (!count) return element;
      const share = Math.round(100 * Math.sqrt(count / Math.max(1, part.totals[row])));
      const color = row === column ? "--series-3" : "--series-2";
      element.style.background = `color-mix(in srgb, var(${color}) ${0.6 * share}%, transparent)`;
      element.append(make("button", {
        type: "button",
        "aria-label": `${part.labels[row]} predicted as ${part.labels[column]}: ${countOf(count, "image")}`,
        onclick: () => open(row, column),
      }, WHOLE.format(count)));
      return element;
    }

    const head = make("tr", {}, make("th", { scope: "col" }, "true \\ predicted"),
      ...part.labels.map((name) => make("th", { scope: "col", title: name }, name)));
    const rows = part.labels.map((name, row) =>
      make("tr", {}, make("th", { scope: "row", title: name }, name),
        ...part.labels.map((_, column) => makeCell(row, column))));
    const table = make("table", { class: "matrix" }, make("caption", {}, part.title),
      make("thead", {}, head), make("tbody", {}, ...rows));
    return make("div", { class: "part" },
      make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": part.title }, table), cell);
  }

  function startTheme() {
    const button = find("theme");
    button.hidden = false;
    button.addEventListener("click", () => {
      const root = document.documentElement;
      const isDark = getComputedStyle(root).colorScheme === "dark";
      root.dataset.theme = isDark ? "light" : "dark";
    });
  }

  for (const element of document.querySelectorAll("div[data-part]")) {
    const part = data.parts[element.dataset.part];
    const maker = part.images ? makeGallery : part.counts ? makeMatrix : makeTable;
    element.replaceChildren(maker(part));
  }
  startSelection();
  startViewer();
  startTheme();
  document.documentElement.dataset.ready = "";
})();
