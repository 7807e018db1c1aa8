// The tables, the images and the selection of a report. Every text of the dataset is set as the
// text of an element, and never as HTML.
"use strict";
(() => {
  const ROWS_PER_PAGE = 25;
  const IMAGES_PER_PAGE = 60;
  const MOST_CHOICES = 500;
  const TINY_PX = 64;
  const NO_PICTURE = "The page has no picture of this image: it shows a limited number of pictures.";
  const source = document.getElementById("report-data");
  const data = JSON.parse(source.textContent);
  const images = data.images;
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

  function showPoints(value) {
    const text = (100 * value).toFixed(1);
    if (Number(text) === 0) return "0.0";
    return value > 0 ? `+${text}` : text;
  }

  // `toLocaleString` would make such an object for each number, which takes most of the time.
  const WHOLE = new Intl.NumberFormat("en");
  const FRACTION = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });
  const FORMATS = {
    count: (value) => WHOLE.format(value),
    number: (value) => FRACTION.format(Number(value.toPrecision(4))),
    percent: (value) => `${(100 * value).toFixed(1)} %`,
    points: showPoints,
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
    if (!picture.src) paint(picture);
  }

  addEventListener("beforeprint", () =>
    document.querySelectorAll("img[data-picture]").forEach(load));

  // Overlays are other pictures of the same images, which are shown instead of them, or not.

  let isOverlaid = false;

  function paint(picture) {
    const image = images[picture.dataset.picture];
    const overlay = isOverlaid ? image.overlays?.[picture.dataset.overlay] : undefined;
    picture.src = overlay?.picture ?? image.picture;
    picture.alt = overlay?.text ?? "";
  }

  function toggleOverlays() {
    isOverlaid = !isOverlaid;
    for (const picture of document.querySelectorAll("img[data-overlay]")) {
      if (picture.src) paint(picture);
    }
    for (const button of document.querySelectorAll("button.overlays")) {
      button.setAttribute("aria-pressed", isOverlaid);
    }
  }

  function makePicture(number, overlay) {
    const image = images[number];
    const [width, height] = image.size.split("×").map(Number);
    const tiny = Math.max(width, height) <= TINY_PX;
    return make("img", {
      alt: "", class: tiny ? "tiny" : null, "data-picture": number, "data-overlay": overlay ?? null,
    });
  }

  const placeOf = (number) => `${images[number].classes} · ${images[number].split}`;

  // An item is an image with the overlay and the facts that the viewer shows: those of its row. If
  // `showsPlace`, its class and split are below it, because nothing else there names them. The
  // viewer shows the other items of the list with the arrow keys.
  function makeImage(item, list) {
    const { number, overlay, showsPlace } = item;
    const image = images[number];
    const box = make("input", {
      type: "checkbox",
      "aria-label": `Select ${image.key}`,
      "data-image": number,
      onchange: () => select([number], box.checked),
    });
    box.checked = selected.has(number);
    box.disabled = image.line === "";
    const caption = make("figcaption", { dir: "auto", title: image.key }, image.key);
    if (!image.split) return make("figure", { class: "image file" }, box, caption);
    const button = make("button", {
      type: "button",
      class: "show",
      onclick: () => openViewer(list, list.indexOf(item)),
    }, make("span", { class: "for-readers" }, `Show ${image.key} `));
    if (image.picture) {
      const picture = makePicture(number, overlay);
      button.append(picture);
      watcher.observe(picture);
    } else {
      button.append(image.error ? "damaged" : "no picture: beyond the limit of the page");
    }
    const name = `image${selected.has(number) ? " selected" : ""}`;
    const place = showsPlace ? [make("p", { class: "place", dir: "auto" }, placeOf(number))] : [];
    const classes = data.classes.length ? [makeClassList(number)] : [];
    return make("figure", { class: name }, box, button, ...place, caption, ...classes);
  }

  // Selection. Each selected image may have a correct class: the suggested one, unless the user
  // chooses another one, or none. The choice belongs to the selection, and ends with it.

  const selected = new Set();
  const chosen = new Map();
  const NO_CLASS = "";

  const exactKey = (number) => images[number].line ?? images[number].key;
  const classOf = (number) => chosen.get(number) ?? images[number].suggested ?? NO_CLASS;

  function select(numbers, isSelected) {
    for (const number of numbers) {
      if (images[number].line === "") continue;
      if (isSelected) selected.add(number);
      else selected.delete(number);
      if (!isSelected) chosen.delete(number);
      for (const box of document.querySelectorAll(`input[data-image="${number}"]`)) {
        box.checked = isSelected;
        box.parentElement.classList.toggle("selected", isSelected);
      }
      document.querySelectorAll(`select[data-image="${number}"]`).forEach(showClass);
    }
    if (find("viewer").open) find("viewer-select").checked = selected.has(viewer.list[viewer.place].number);
    showSelection();
    keepSelection();
  }

  function choose(numbers, value) {
    const label = value === NO_CLASS ? NO_CLASS : Number(value);
    numbers.forEach((number) => chosen.set(number, label));
    select(numbers, true);
  }

  // The selection is kept when the page is loaded again, but not in a page with other images.

  const KEPT = `shardmill report ${source.dataset.digest}`;

  function keepSelection() {
    try {
      const kept = [...selected].map((number) => [number, chosen.get(number)]);
      sessionStorage.setItem(KEPT, JSON.stringify(kept));
    } catch { /* A frame of a notebook has no storage. */ }
  }

  function restoreSelection() {
    try {
      for (const [number, label] of JSON.parse(sessionStorage.getItem(KEPT)) ?? []) {
        selected.add(number);
        if (label !== null) chosen.set(number, label);
      }
    } catch { /* As above. */ }
  }

  const classOption = (label) => make("option", { value: label }, data.classes[label]);

  function makeClassList(number) {
    const list = make("select", {
      class: "class", "aria-label": `Correct class of ${images[number].key}`, "data-image": number,
      title: "Correct class", onchange: () => choose([number], list.value),
      onpointerdown: () => fillClasses(list), onfocus: () => fillClasses(list),
    });
    list.disabled = images[number].line === "";
    showClass(list);
    return list;
  }

  // There may be thousands of classes, so a list has all of them only when it is used.
  function fillClasses(list) {
    if (list.length > data.classes.length) return;
    const { value } = list;
    list.replaceChildren(list.options[0], ...data.classes.map((_, label) => classOption(label)));
    list.value = value;
  }

  function showClass(list) {
    const label = classOf(Number(list.dataset.image));
    if (!list.length) list.append(make("option", { value: NO_CLASS }, "no class"));
    list.value = label;
    if (list.selectedIndex >= 0) return;
    list.append(classOption(label));
    list.value = label;
  }

  const isCorrectable = (number) => images[number].split !== undefined;

  function corrections() {
    const found = [...selected].filter((number) => isCorrectable(number) && classOf(number) !== NO_CLASS);
    const classes = new Map(found.map((number) => [exactKey(number), data.classes[classOf(number)]]));
    return [...classes.keys()].sort().map((key) => JSON.stringify({ key, class: classes.get(key) }));
  }

  function showSelection() {
    find("selection").hidden = selected.size === 0;
    find("selected").textContent = `${countOf(selected.size, "image")} selected`;
    const list = find("class-of-all");
    if (!list) return;
    const count = corrections().length;
    const without = [...selected].filter(isCorrectable).length - count;
    find("save-classes").disabled = count === 0;
    find("save-classes").textContent = `Save ${countOf(count, "correction")}`;
    const verb = without === 1 ? "has" : "have";
    const missing = without ? `; ${WHOLE.format(without)} ${verb} no class` : "";
    find("corrected").textContent = `${WHOLE.format(count)} of ${countOf(count + without, "selected image")}${missing}`;
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
    find("clear").addEventListener("click", () => select([...selected], false));
    const commands = [
      `shardmill remove ${data.dataset} --keys keys.txt`,
      "shardmill convert SOURCE OUTPUT --exclude keys.txt",
    ];
    const list = find("class-of-all");
    if (list) {
      list.append(make("option", { value: NO_CLASS }, "choose a class"));
      for (const kind of ["pointerdown", "focus"]) list.addEventListener(kind, () => fillClasses(list));
      // It changes the images that are selected now, and forgets the class, so that no image that
      // is selected later gets it.
      list.addEventListener("change", () => {
        if (list.value !== NO_CLASS) choose([...selected].filter(isCorrectable), list.value);
        list.value = NO_CLASS;
      });
      find("save-classes").addEventListener("click", () => save("corrections.jsonl", corrections()));
      commands.push(`shardmill relabel ${data.dataset} corrections.jsonl`);
    }
    showSelection();
    find("commands").textContent = commands.join("\n");
  }

  // Viewer of one image.

  const viewer = { list: [], place: 0 };

  function openViewer(list, place) {
    Object.assign(viewer, { list, place });
    showInViewer();
    find("viewer").showModal();
  }

  function showInViewer() {
    const { number, overlay, facts } = viewer.list[viewer.place];
    const image = images[number];
    find("viewer-title").textContent = image.key;
    const picture = image.picture ? makePicture(number, overlay) : null;
    if (picture) load(picture);
    find("viewer-picture").replaceChildren(picture ?? (image.error || NO_PICTURE));
    const shown = {
      ...facts?.(),
      class: image.classes, split: image.split, size: image.size, format: image.format,
      "stored size": image.bytes === undefined ? "" : showBytes(image.bytes),
      changes: image.changes || "none", "exact key": image.line ?? "",
    };
    find("viewer-facts").replaceChildren(
      ...Object.entries(shown).filter(([, value]) => value).map(([name, value]) =>
        make("div", {}, make("dt", {}, name), make("dd", {}, make("bdi", {}, value)))),
    );
    find("viewer-overlay").hidden = !image.overlays?.[overlay];
    find("viewer-select").checked = selected.has(number);
    find("viewer-select").disabled = image.line === "";
    find("viewer-class")?.replaceChildren(makeClassList(number));
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
      select([viewer.list[viewer.place].number], event.target.checked));
    find("viewer-overlay").addEventListener("click", toggleOverlays);
    // Not a listener of the dialog: a button that is hidden or disabled loses the focus.
    document.addEventListener("keydown", (event) => {
      if (!find("viewer").open || event.target.matches("select")) return;
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
      if (event.key === "a" && !event.ctrlKey && !find("viewer-overlay").hidden) toggleOverlays();
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
    // Of a total, only the first `count` things are in the page.
    pager.cut = (items, count, thing, total) => {
      const pages = Math.max(1, Math.ceil(items.length / perPage));
      pager.page = Math.max(0, Math.min(pager.page, pages - 1));
      back.hidden = next.hidden = pages === 1;
      back.disabled = pager.page === 0;
      next.disabled = pager.page === pages - 1;
      const isCut = total > count;
      const all = isCut ? `first ${WHOLE.format(count)} of ${countOf(total, thing)}` : countOf(count, thing);
      const shown = items.length === count ? all
        : `${WHOLE.format(items.length)} of ${isCut ? "the " : ""}${all}`;
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
    // A click anywhere in the heading sorts; the button is for the keyboard.
    const isSorted = part.rows.length > 1;
    const heads = columns.map((column, place) =>
      make("th", {
        scope: "col",
        class: [isRight(column) && "right", isSorted && "sorts"].filter(Boolean).join(" "),
        ...(isSorted ? { title: "Sort", onclick: () => sort(place) } : {}),
      }, isSorted ? make("button", { type: "button" }, column.name) : column.name));

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

    function makeCell(cell, place, items, list) {
      const column = columns[place];
      if (column.kind === "images") {
        return make("td", {}, make("div", { class: "images" },
          ...items.map((item) => makeImage(item, list))));
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

    const imagesAt = columns.findIndex((column) => column.kind === "images");
    const factsOf = (row) => Object.fromEntries(columns.flatMap((column, place) =>
      place === imagesAt ? [] : [[column.name, show(row[place], column.kind)]]));
    const items = part.rows.map((row, place) => {
      const numbers = row[imagesAt] ?? [];
      const showsPlace = new Set(numbers.map(placeOf)).size > 1;
      return numbers.map((number) =>
        ({ number, overlay: part.overlays[place], facts: () => factsOf(row), showsPlace }));
    });
    // Rows with several images show an image with its copies, of which one is to be kept.
    const hasOneEach = imagesAt >= 0 && items.every((each) => each.length <= 1);
    let visible = [];

    function render() {
      const found = places.filter((place) => filters.accepts(place));
      visible = pager.cut(found, part.rows.length, part.thing, part.total);
      const all = hasOneEach ? found.flatMap((place) => items[place]) : null;
      body.replaceChildren(...visible.map((place) =>
        make("tr", {}, ...part.rows[place].map((cell, column) =>
          makeCell(cell, column, items[place], all ?? items[place])))));
    }

    // Of a row with several images, those to exclude are selected, if it is known which ones.
    const keepsFirst = imagesAt >= 0 && columns[imagesAt].keepsFirst;
    const toSelect = (place) => items[place].slice(keepsFirst ? 1 : 0).map(({ number }) => number);
    const selectPage = make("button", {
      type: "button", onclick: () => select(visible.flatMap(toSelect), true),
    }, keepsFirst ? "Select this page, except the images to keep" : "Select this page");

    render();
    const tools = part.rows.length > 5 || part.total > part.rows.length
      ? [...filters.elements, ...pager.elements] : [];
    if (keepsFirst || (tools.length && hasOneEach)) tools.push(selectPage);
    if (part.overlays.length) tools.push(make("button", {
      type: "button", class: "overlays", "aria-pressed": String(isOverlaid), onclick: toggleOverlays,
    }, "Class activation maps"));
    // The heading is above the tools; the caption is the name of the table for screen readers.
    return make("div", { class: "part" }, make("h3", {}, part.title),
      ...(part.note ? [make("p", { class: "note" }, part.note)] : []),
      ...(tools.length ? [make("div", { class: "tools" }, ...tools)] : []),
      make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": part.title },
        make("table", {}, make("caption", { class: "for-readers" }, part.title),
          make("thead", {}, make("tr", {}, ...heads)), body)));
  }

  // Galleries.

  function makeGallery(part) {
    const list = part.images.map((number) => ({ number, showsPlace: true }));
    const textAt = (place) => `${images[list[place].number].key} ${images[list[place].number].classes}`;
    const choices = ["classes", "split"].map((name) => ({
      name: name === "classes" ? "class" : name, values: part.images.map((number) => images[number][name] ?? ""),
    }));
    const filters = makeFilters(part.title, textAt, choices, () => { pager.page = 0; render(); });
    const pager = makePager(IMAGES_PER_PAGE, render);
    const grid = make("div", { class: "images" });

    function render() {
      const found = list.filter((_, place) => filters.accepts(place));
      const shown = pager.cut(found, list.length, "image");
      grid.replaceChildren(...shown.map((item) => makeImage(item, found)));
    }

    render();
    return make("div", { class: "part" }, make("h3", {}, part.title),
      make("div", { class: "tools" }, ...filters.elements, ...pager.elements), grid);
  }

  // Confusion matrices.

  function makeMatrix(part) {
    const cell = make("div", { class: "part", "aria-live": "polite" });

    function open(row, column) {
      const list = (part.examples[`${row},${column}`] ?? []).map((number) => ({ number }));
      const total = part.counts[row][column];
      const title = row === column ? `“${part.labels[row]}” predicted rightly`
        : `“${part.labels[row]}” predicted as “${part.labels[column]}”`;
      const shown = list.length < total ? `, ${WHOLE.format(list.length)} shown` : "";
      cell.replaceChildren(make("h3", {}, `${title}: ${countOf(total, "image")}${shown}`),
        make("div", { class: "images" }, ...list.map((item) => makeImage(item, list))));
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
        "aria-label": `“${part.labels[row]}” predicted as “${part.labels[column]}”: ${countOf(count, "image")}`,
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

  restoreSelection();
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
