// The page of a server: sends pictures, and shows their classes. Every text of the model and of the
// user is set as the text of an element, and never as HTML.
"use strict";
(() => {
  const CLASSES = 5;
  const AT_ONCE = 4;
  const find = (id) => document.getElementById(id);
  const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1, minimumFractionDigits: 1 });
  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
  const waiting = [];
  let running = 0;
  let model = null;

  function make(name, className, ...children) {
    const element = document.createElement(name);
    element.className = className;
    element.append(...children);
    return element;
  }

  async function loadModel() {
    const response = await fetch("v1/model");
    model = await response.json();
    find("title").textContent = model.name;
    document.title = model.name;
    const count = model.classes.length;
    const predicted = model.target === null ? `${count.toLocaleString("en")} class${count === 1 ? "" : "es"}` : model.target;
    find("facts").textContent = `${model.model} · ${predicted} · ${model.width_px}×${model.height_px} px`;
  }

  // Pictures wait in the page, so that many files do not fill the queue of the server.

  function add(files) {
    for (const file of files) waiting.push([file, showPicture(file)]);
    proceed();
  }

  function proceed() {
    while (running < AT_ONCE && waiting.length) {
      running += 1;
      send(...waiting.shift()).finally(() => {
        running -= 1;
        proceed();
      });
    }
    const left = running + waiting.length;
    find("status").textContent = left ? `${left} picture${left === 1 ? "" : "s"} to predict …` : "";
  }

  function showPicture(file) {
    const image = document.createElement("img");
    image.alt = "";
    image.src = URL.createObjectURL(file);
    image.addEventListener("error", () => image.classList.add("unknown"));
    const article = make("article", "", image, make("h2", "", file.name || "picture"), make("div", "answer"));
    find("results").prepend(article);
    return article;
  }

  async function send(file, article) {
    const answer = article.querySelector(".answer");
    const started = performance.now();
    try {
      if (model === null) await loadModel();
      if (file.size > model.max_upload_bytes) {
        throw new Error(`The file is too large: at most ${number.format(model.max_upload_bytes / 1e6)} MB.`);
      }
      const query = model.target === null ? `?top_k=${Math.min(CLASSES, model.classes.length)}` : "";
      const type = "application/octet-stream";
      const response = await fetch(`v1/predict${query}`, { method: "POST", body: file, headers: { "Content-Type": type } });
      const content = await response.json();
      if (!response.ok) throw new Error(describe(content.error));
      answer.replaceChildren(showPrediction(content.predictions[0]));
      const seconds = (performance.now() - started) / 1000;
      article.querySelector("h2").append(make("time", "", `${seconds.toFixed(2)} s`));
    } catch (error) {
      const text = error instanceof TypeError ? "The server does not answer." : error.message;
      answer.replaceChildren(make("p", "error", text));
    }
  }

  function describe(error) {
    const expected = error.expected === undefined ? "" : `, expected ${error.expected}`;
    const got = error.got === undefined ? "" : `: ${error.got}`;
    return `${error.what}${got}${expected}`;
  }

  function showPrediction(prediction) {
    if (prediction.value !== undefined) return make("p", "value", number.format(prediction.value));
    const best = prediction.none_of_these ? [] : prediction.classes.slice(0, 1);
    const chosen = new Set((prediction.predicted ?? best).map((each) => each.label));
    const list = make("ol", "", ...prediction.classes.map((each) => showClass(each, chosen.has(each.label))));
    return prediction.none_of_these ? make("div", "", make("p", "none", "None of these"), list) : list;
  }

  function showClass(each, isChosen) {
    const bar = make("div", "bar");
    bar.style.width = `${100 * each.score}%`;
    const track = make("div", "track", bar);
    track.setAttribute("aria-hidden", "true");
    const threshold = model.thresholds[each.label] ?? model.reject_below;
    if (typeof threshold === "number") {
      const mark = make("div", "threshold");
      mark.style.left = `calc(${100 * threshold}% - 1px)`;
      track.append(mark);
    }
    const name = make("span", "name", each.class);
    return make("li", isChosen ? "chosen" : "", name, make("span", "score", percent.format(each.score)), track);
  }

  const drop = find("drop");
  const files = find("files");
  files.addEventListener("change", () => {
    add(files.files);
    files.value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) drop.classList.remove("over");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    add(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => add(event.clipboardData.files));
  loadModel().catch(() => {
    find("status").textContent = "The server does not answer.";
  });
})();
