"use strict";
/* The page of a live model: composes what is to be seen, asks the model of this computer, and shows what it answers
   (crosseyed/explorer/live.py). One request is under way at a time; while it is, only the newest wish is kept. */

/**
 * @typedef {{grid: [number, number], values: number[]}} OnImage
 * @typedef {{similarities: number[], shares: number[]}} Compared
 * @typedef {Compared & {seen: string, attention: OnImage | null, map: OnImage | null}} Answer
 * @typedef {{key: string, width: number, height: number}} Upload
 *
 * @typedef {object} Offered
 * @property {string} model
 * @property {string} note  what has to be known of its weights, a sentence, or ""
 * @property {string[]} objects
 * @property {string[]} backgrounds
 * @property {{name: string, family: string, passes: number, told: boolean}[]} mitigations
 * @property {string} noAttention
 * @property {string} noMap
 * @property {string[]} captions
 * @property {number} mostCaptions
 * @property {number} mostBytes
 */

(async function () {
  const { make, percent, drawScene, drawHeat, bars, choice, movable } = crosseyedView;
  const { staged, heading, figure, explanation } = crosseyedView;
  const STEP = 0.02;
  const SMALLEST = 0.02;
  const GONE = "The explorer has ended; start it again in the terminal and open the address that it prints.";
  const root = /** @type {HTMLElement} */ (document.getElementById("live"));

  const error = make("p", "live-error");
  error.setAttribute("role", "alert");
  root.append(error);

  /**
   * Ask the server; what goes wrong becomes an error with one sentence.
   *
   * @param {string} path
   * @param {RequestInit} [options]
   * @returns {Promise<any>}
   */
  const ask = async (path, options) => {
    let response;
    try {
      response = await fetch(path, options);
    } catch {
      throw new Error(GONE);
    }
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    return answer;
  };
  const post = (/** @type {string} */ path, /** @type {BodyInit} */ body, kind = "application/json") =>
    ask(path, { method: "POST", body, headers: { "Content-Type": kind } });
  /* What was wrong with the last upload and with the last wish: an answer takes back only the latter. */
  const wrong = { upload: "", wish: "" };
  const say = (/** @type {keyof typeof wrong} */ about, /** @type {unknown} */ reason) => {
    wrong[about] = reason instanceof Error ? reason.message : "";
    error.textContent = [wrong.upload, wrong.wish].filter(Boolean).join(" ");
  };

  /** @type {Offered} */
  let offered;
  try {
    offered = await ask("offered");
  } catch (reason) {
    say("wish", reason);
    return;
  }

  /* What is wished for. */
  /** @type {Upload | null} */
  let upload = null;
  let mode = "stage";
  const at = { stage: { x: 0.25, y: 0.3, size: 0.35 }, window: { x: 0.5, y: 0.5, size: 0.6 } };
  const spot = () => (mode === "stage" ? at.stage : at.window);
  const object = new Image();
  const ground = new Image();
  const photograph = new Image();
  const seen = new Image();

  /**
   * Make a labelled control.
   *
   * @template {HTMLElement} Control
   * @param {string} words
   * @param {Control} control
   * @returns {{field: HTMLLabelElement, control: Control}}
   */
  const field = (words, control) => {
    /* Or the options of a menu would be part of its name. */
    control.setAttribute("aria-label", words);
    return { field: make("label", "live-field", make("span", "", words), control), control };
  };

  /**
   * Make a choice of one of several, in groups if they have any.
   *
   * @param {string} words
   * @param {{value: string, words: string, group?: string}[]} options
   */
  const list = (words, options) => {
    const select = make("select");
    /** @type {HTMLElement} */
    let parent = select;
    for (const { value, words: text, group } of options) {
      if (group === undefined) parent = select;
      else if (!(parent instanceof HTMLOptGroupElement) || parent.label !== group) {
        parent = make("optgroup");
        parent.setAttribute("label", group);
        select.append(parent);
      }
      const option = make("option", "", text);
      option.value = value;
      parent.append(option);
    }
    return field(words, select);
  };

  /* The image. */
  const modes = choice("What is shown", [{ words: "An object in a scene" }, { words: "A photograph" }], (index) => {
    mode = index ? "window" : "stage";
    arrange();
  });
  modes.group.classList.add("explorer-modes");
  const canvas = make("canvas", "explorer-square");
  const stage = make("div", "explorer-stage", canvas);
  const { hint, place } = staged(stage, "image with something to move");
  const size = field("Size", make("input"));
  Object.assign(size.control, { type: "range", min: String(SMALLEST), max: "1", step: "0.01" });
  const file = field("Drop an image of your own anywhere on this page, or choose a file", make("input"));
  Object.assign(file.control, { type: "file", accept: "image/*" });
  const objects = list("Object", offered.objects.map((name) => ({ value: name, words: name })));
  const backgrounds = list(
    "Background",
    offered.backgrounds.map((name, number) => ({ value: String(number), words: name })),
  );
  const shape = list("Window", [
    { value: "", words: "shaped as the photograph" },
    { value: "square", words: "square" },
  ]);
  const captions = field(`Captions, one a line (at most ${offered.mostCaptions})`, make("textarea"));
  captions.control.value = offered.captions.join("\n");
  captions.control.spellcheck = false;
  const mapped = list("Caption of the map", []);
  const mitigation = list("Mitigation beside the plain model", [
    { value: "", words: "none" },
    ...offered.mitigations.map(({ name, family, passes, told }) => ({
      value: name,
      words: `${name}: ${passes} pass${passes === 1 ? "" : "es"}${told ? ", told the place" : ""}`,
      group: family,
    })),
  ]);

  /* What is answered. */
  const plain = make("div");
  const helped = make("div");
  const time = make("p", "explorer-note");
  const seenCanvas = make("canvas", "explorer-square");
  const attentionCanvas = make("canvas", "explorer-square");
  const mapCanvas = make("canvas", "explorer-square");
  for (const [drawn, words] of /** @type {const} */ ([
    [seenCanvas, "What the model sees"],
    [attentionCanvas, "Attention of the pooled token over the image"],
    [mapCanvas, "Similarity map of the caption over the image"],
  ])) {
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", words);
  }
  const attentionCaption = make("figcaption");
  const mapCaption = make("figcaption");
  const verdict = make("p", "explorer-verdict");
  verdict.setAttribute("role", "status");
  const helpedTitle = heading("");
  const seenCaption = make("figcaption", "", "After the model's own resizing and cropping.");
  const answers = make(
    "div",
    "explorer-card live-answers",
    verdict,
    make(
      "div",
      "live-pair",
      make("div", "", heading("Plain model: share and cosine"), plain),
      make("div", "", helpedTitle, helped),
    ),
    make(
      "div",
      "live-maps",
      figure(seenCanvas, "What the model sees", seenCaption),
      figure(attentionCanvas, "Attention", attentionCaption),
      figure(mapCanvas, "Similarity map", mapCaption),
    ),
    time,
  );

  root.append(
    make("p", "explorer-banner", `Model: ${offered.model}. ${offered.note} It runs on this computer; nothing leaves it.`),
    modes.group,
    make(
      "div",
      "explorer-top",
      make(
        "div",
        "explorer-left",
        stage,
        hint,
        place,
        size.field,
        make("div", "live-pair", objects.field, backgrounds.field, shape.field),
      ),
      answers,
    ),
    make(
      "div",
      "live-controls",
      make("div", "", make("div", "live-drop", file.field), mitigation.field, mapped.field),
      captions.field,
    ),
    explanation("What am I seeing?", [
      [
        "Share and cosine",
        "The cosine compares the image with a caption; the share is the softmax of all captions' cosines at the " +
          "model's own scale, so it depends on which captions stand beside it.",
      ],
      ["Attention", "How much the pooled token takes from each patch in the last layer, mean over heads."],
      [
        "Similarity map",
        "How similar each patch would be to the caption if pooling saw it alone, from the lowest to the highest patch; " +
          "it is often low on the object itself.",
      ],
      [
        "Mitigation",
        "What changes without training: the image that is shown, or how the model attends; some are told where the " +
          "object is.",
      ],
    ]),
  );

  /* Drawing. */
  const box = () => {
    const { width, height } = upload || { width: 1, height: 1 };
    const scale = 1 / Math.max(width, height);
    const square = shape.control.value === "square";
    const { x, y, size: share } = at.window;
    const [wide, high] = square ? [Math.min(width, height), Math.min(width, height)] : [width, height];
    const inside = (/** @type {number} */ center, /** @type {number} */ part) =>
      Math.min(Math.max(center - part / 2, 0), 1 - part);
    const [w, h] = [(share * wide) / width, (share * high) / height];
    return { width: width * scale, height: height * scale, left: inside(x, w), upper: inside(y, h), w, h };
  };

  const drawWindow = () => {
    drawScene(canvas, new Image(), []);
    const context = canvas.getContext("2d");
    const side = canvas.clientWidth;
    if (!context || !photograph.naturalWidth) return;
    const { width, height, left, upper, w, h } = box();
    const [wide, high] = [width * side, height * side];
    const [x, y] = [(side - wide) / 2, (side - high) / 2];
    context.drawImage(photograph, x, y, wide, high);
    context.fillStyle = "rgba(0, 0, 0, 0.55)";
    context.beginPath();
    context.rect(x, y, wide, high);
    context.rect(x + left * wide, y + upper * high, w * wide, h * high);
    context.fill("evenodd");
    context.lineWidth = 2;
    context.strokeStyle = "#fff";
    context.strokeRect(x + left * wide, y + upper * high, w * wide, h * high);
  };

  /** @type {Answer | null} */
  let shown = null;
  const draw = () => {
    const { x, y, size: share } = spot();
    if (mode === "stage") drawScene(canvas, ground, [{ image: object, x, y, size: share }]);
    else drawWindow();
    const words = `${Math.round(100 * x)}% from the left, ${Math.round(100 * y)}% from the top`;
    place.textContent = `${words}, size ${Math.round(100 * share)}%`;
    stage.setAttribute("aria-label", `${mode === "stage" ? "Object" : "Window"} ${place.textContent}`);
    drawScene(seenCanvas, seen, []);
    for (const [drawn, levels] of /** @type {const} */ ([
      [attentionCanvas, shown && shown.attention],
      [mapCanvas, shown && shown.map],
    ])) {
      drawn.hidden = shown !== null && !levels;
      drawScene(drawn, seen, []);
      if (!levels) continue;
      const top = Math.max(...levels.values);
      const low = drawn === mapCanvas ? Math.min(...levels.values) : 0;
      drawHeat(drawn, levels.values.map((each) => (each - low) / (top - low || 1)), ...levels.grid);
    }
  };

  const bestOf = (/** @type {number[]} */ shares) => shares.indexOf(Math.max(...shares));

  /**
   * List captions with their shares and cosines, the best one marked.
   *
   * @param {string[]} texts
   * @param {Compared} compared
   */
  const listed = (texts, { shares, similarities }) => {
    const best = bestOf(shares);
    const made = bars(texts.map((name, i) => ({ name, share: shares[i], right: false })));
    Array.from(made.children).forEach((entry, i) => {
      entry.append(make("span", "live-cosine", similarities[i].toFixed(3)));
      if (i !== best) return;
      entry.classList.add("best");
      entry.children[0].append(make("span", "explorer-hidden", " (best)"));
    });
    return made;
  };

  /* Asking. */
  const texts = () => captions.control.value.split("\n").map((each) => each.trim()).filter(Boolean);
  const wish = () => {
    const { x, y, size: share } = spot();
    const where = { x, y, size: share };
    return {
      seen:
        mode === "stage"
          ? { kind: "stage", ...where, object: objects.control.value, background: Number(backgrounds.control.value) }
          : { kind: "window", ...where, photograph: upload ? upload.key : "", square: shape.control.value === "square" },
      captions: texts(),
      caption: Math.max(mapped.control.selectedIndex, 0),
      mitigation: mitigation.control.value,
    };
  };

  let newest = 0;
  let isBusy = false;
  const changed = () => {
    newest++;
    say("upload", null);
    answers.setAttribute("aria-busy", "true");
    helped.classList.add("stale");
    draw();
    if (!isBusy) void work();
  };
  const work = async () => {
    isBusy = true;
    let done = -1;
    while (done !== newest) {
      done = newest;
      try {
        await once(done);
        if (done === newest) say("wish", null);
      } catch (reason) {
        if (done === newest) {
          answers.classList.add("stale");
          say("wish", reason);
        }
      }
    }
    isBusy = false;
    answers.setAttribute("aria-busy", "false");
  };
  const once = async (/** @type {number} */ number) => {
    const wished = wish();
    if (wished.seen.kind === "window" && !upload) {
      answers.classList.add("stale");
      return;
    }
    const body = JSON.stringify(wished);
    const begun = performance.now();
    /** @type {Answer} */
    const answer = await post("answer", body);
    const took = performance.now() - begun;
    seen.src = answer.seen;
    await seen.decode();
    shown = answer;
    plain.replaceChildren(listed(wished.captions, answer));
    const best = bestOf(answer.shares);
    verdict.textContent = `The model chooses “${wished.captions[best]}”, ${percent(answer.shares[best])}.`;
    time.textContent = `Answered in ${Math.round(took)} ms.`;
    attentionCaption.textContent = answer.attention
      ? `Highest patch: ${(Math.max(...answer.attention.values) * answer.attention.values.length).toFixed(1)} times ` +
        "what it would get if attention were even."
      : offered.noAttention;
    mapCaption.textContent = answer.map
      ? `Cosines from ${Math.min(...answer.map.values).toFixed(3)} to ${Math.max(...answer.map.values).toFixed(3)} ` +
        `for “${wished.captions[wished.caption]}”.`
      : offered.noMap;
    draw();
    answers.classList.remove("stale");
    helpedTitle.textContent = wished.mitigation ? `With ${wished.mitigation}` : "Choose a mitigation to see it here";
    if (!wished.mitigation) helped.replaceChildren();
    if (!wished.mitigation || number !== newest) return;
    const compared = await post("mitigated", body);
    if (number !== newest) return;
    helped.replaceChildren(listed(wished.captions, compared));
    helped.classList.remove("stale");
  };

  /* Moving. */
  const clamp = (/** @type {number} */ value, margin = 0) => Math.min(Math.max(value, margin), 1 - margin);
  /* An object may be cut off by the border; a window stays inside its photograph. */
  const moveTo = (/** @type {number} */ x, /** @type {number} */ y) => {
    const { w, h } = mode === "window" ? box() : { w: 0, h: 0 };
    Object.assign(spot(), { x: clamp(x, w / 2), y: clamp(y, h / 2) });
    changed();
  };
  let [gripX, gripY] = [0, 0];
  movable(
    stage,
    (x, y, begins) => {
      if (mode === "window") {
        const { width, height } = box();
        [x, y] = [(x - (1 - width) / 2) / width, (y - (1 - height) / 2) / height];
      }
      if (begins) {
        const now = spot();
        const { w, h } = mode === "window" ? box() : { w: now.size, h: now.size };
        const isHit = Math.abs(x - now.x) < w / 2 && Math.abs(y - now.y) < h / 2;
        [gripX, gripY] = isHit ? [now.x - x, now.y - y] : [0, 0];
      }
      moveTo(x + gripX, y + gripY);
    },
    (right, down) => moveTo(spot().x + right * STEP, spot().y + down * STEP),
  );
  const resize = (/** @type {number} */ value) => {
    spot().size = Math.min(Math.max(value, SMALLEST), 1);
    size.control.value = String(spot().size);
    moveTo(spot().x, spot().y);
  };
  stage.addEventListener("keydown", (event) => {
    if (event.key === "+" || event.key === "=") resize(spot().size + STEP);
    if (event.key === "-") resize(spot().size - STEP);
  });
  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      resize(spot().size * (event.deltaY < 0 ? 1.05 : 1 / 1.05));
    },
    { passive: false },
  );
  size.control.addEventListener("input", () => resize(Number(size.control.value)));

  /* Choosing. */
  const show = async (/** @type {HTMLImageElement} */ image, /** @type {string} */ address) => {
    image.src = address;
    await image.decode().catch(() => {});
    draw();
  };
  const arrange = () => {
    const isStage = mode === "stage";
    modes.show(isStage ? 0 : 1);
    objects.field.hidden = backgrounds.field.hidden = !isStage;
    shape.field.hidden = isStage;
    for (const option of mitigation.control.options) {
      option.disabled = !isStage && offered.mitigations.some((each) => each.told && each.name === option.value);
      if (option.disabled && option.selected) mitigation.control.value = "";
    }
    hint.textContent = isStage
      ? "Drag it, or use the arrow keys, + and −."
      : upload
        ? "Drag the window, or use arrow keys, + and −."
        : "Drop a photograph on this page, or choose a file.";
    size.control.value = String(spot().size);
    moveTo(spot().x, spot().y);
  };
  const offerCaptions = () => {
    const chosen = mapped.control.selectedIndex;
    const made = texts().map((text) => new Option(text));
    mapped.control.replaceChildren(...made);
    mapped.control.selectedIndex = Math.max(0, Math.min(chosen, made.length - 1));
    changed();
  };
  /* Files are read at the same time: one that is done after a later one is dropped. */
  let given = 0;
  let taken = 0;
  const take = async (/** @type {File | undefined} */ chosen) => {
    if (!chosen) return;
    say("upload", null);
    const number = ++given;
    try {
      if (chosen.size > offered.mostBytes) {
        throw new Error(`The file has more than ${Math.floor(offered.mostBytes / 2 ** 20)} MB; give a smaller one.`);
      }
      const made = /** @type {Upload} */ (await post("upload", chosen, "application/octet-stream"));
      if (number < taken) return;
      [taken, upload] = [number, made];
    } catch (reason) {
      if (number > taken) say("upload", reason);
      return;
    }
    const option = objects.control.querySelector("[data-own]") || make("option", "", "your image");
    option.setAttribute("data-own", "");
    option.setAttribute("value", upload.key);
    objects.control.prepend(option);
    objects.control.value = upload.key;
    arrange();
    await Promise.all([show(photograph, `photograph?key=${upload.key}`), show(object, `object?name=${upload.key}`)]);
  };
  /* So that the same file can be chosen again. */
  file.control.addEventListener("click", () => (file.control.value = ""));
  file.control.addEventListener("change", () => void take(file.control.files?.[0]));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    root.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => root.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    root.classList.remove("dropping");
    void take(event.dataTransfer?.files[0]);
  });
  objects.control.addEventListener("change", () => {
    changed();
    void show(object, `object?name=${encodeURIComponent(objects.control.value)}`);
  });
  backgrounds.control.addEventListener("change", () => {
    changed();
    void show(ground, `background?number=${backgrounds.control.value}`);
  });
  shape.control.addEventListener("change", () => moveTo(spot().x, spot().y));
  for (const { control } of [mapped, mitigation]) control.addEventListener("change", changed);
  captions.control.addEventListener("input", offerCaptions);
  addEventListener("resize", draw);

  if (offered.objects.includes("dog")) objects.control.value = "dog";
  offerCaptions();
  arrange();
  await show(ground, `background?number=${backgrounds.control.value}`);
  await show(object, `object?name=${encodeURIComponent(objects.control.value)}`);
})();
