"use strict";
/* What a page draws of a model's answers: scenes, bars, maps, heat. It keeps no state and looks nothing up. Everything
   that comes from data becomes text by `textContent`, never markup. */

/**
 * @typedef {object} Standing  An object in a scene: center and longer side as fractions of the side of the image.
 * @property {HTMLImageElement} image
 * @property {number} x
 * @property {number} y
 * @property {number} size
 *
 * @typedef {object} Bar
 * @property {string} name
 * @property {number} share  in [0, 1]
 * @property {boolean} right  whether this is the right answer
 *
 * @typedef {object} Marks  What is drawn over a scene.
 * @property {[number, number][]} places  where an object could stand, as fractions
 * @property {[number, number] | null} chosen  where it stands
 */

var crosseyedView = (function () {
  /* Viridis at five even steps, as in the figures of the book. */
  const HEAT = [
    [68, 1, 84],
    [59, 82, 139],
    [33, 145, 140],
    [94, 201, 98],
    [253, 231, 37],
  ];
  const SVG = "http://www.w3.org/2000/svg";

  /**
   * Make an element with a class and a content: text, or other elements.
   *
   * @template {keyof HTMLElementTagNameMap} Tag
   * @param {Tag} tag
   * @param {string} [name]
   * @param {...(string | Node)} content
   * @returns {HTMLElementTagNameMap[Tag]}
   */
  const make = (tag, name = "", ...content) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    made.append(...content);
    return made;
  };

  /**
   * Write a share in percent with one decimal.
   *
   * @param {number} share
   */
  const percent = (share) => `${(100 * share).toFixed(1)}%`;

  /**
   * Find the number nearest to a value; the first of equals.
   *
   * @param {readonly number[]} values
   * @param {number} value
   * @returns {number} its index
   */
  const nearest = (values, value) =>
    values.reduce((best, each, i) => (Math.abs(each - value) < Math.abs(values[best] - value) ? i : best), 0);

  /**
   * Clear a canvas at the resolution of the screen. It is as high as it is wide.
   *
   * @param {HTMLCanvasElement} canvas
   * * @returns {{context: CanvasRenderingContext2D, side: number} | null} in CSS pixels; null while it is not shown
   */
  const clear = (canvas) => {
    const side = canvas.clientWidth;
    const context = canvas.getContext("2d");
    if (!side || !context) return null;
    const dots = Math.round(side * (window.devicePixelRatio || 1));
    if (canvas.width !== dots || canvas.height !== dots) canvas.width = canvas.height = dots;
    context.setTransform(dots / side, 0, 0, dots / side, 0, 0);
    context.clearRect(0, 0, side, side);
    return { context, side };
  };

  /**
   * @param {HTMLImageElement} image
   */
  const isLoaded = (image) => image.complete && image.naturalWidth > 0;

  /**
   * Compose a scene: objects from back to front on a background, which fills the image.
   *
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLImageElement} background
   * @param {Standing[]} objects
   * @param {Marks} [marks]
   */
  const drawScene = (canvas, background, objects, marks) => {
    const cleared = clear(canvas);
    if (!cleared) return;
    const { context, side } = cleared;
    if (isLoaded(background)) context.drawImage(background, 0, 0, side, side);
    for (const { image, x, y, size } of objects.filter((each) => isLoaded(each.image))) {
      const scale = (size * side) / Math.max(image.naturalWidth, image.naturalHeight);
      const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
      context.drawImage(image, x * side - width / 2, y * side - height / 2, width, height);
    }
    if (marks) drawMarks(context, side, marks);
  };

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} side
   * @param {Marks} marks
   */
  const drawMarks = (context, side, { places, chosen }) => {
    const dot = (/** @type {[number, number]} */ [x, y], /** @type {number} */ radius) => {
      context.beginPath();
      context.arc(x * side, y * side, radius, 0, 2 * Math.PI);
    };
    /* Light inside dark, so that they are seen on every background. */
    for (const place of places) {
      dot(place, 2.4);
      context.fillStyle = "rgba(0, 0, 0, 0.55)";
      context.fill();
      dot(place, 1.4);
      context.fillStyle = "#fff";
      context.fill();
    }
    if (!chosen) return;
    dot(chosen, 7);
    context.lineWidth = 4;
    context.strokeStyle = "rgba(0, 0, 0, 0.6)";
    context.stroke();
    context.lineWidth = 2;
    context.strokeStyle = "#fff";
    context.stroke();
  };

  /**
   * @param {number} level  in [0, 1]
   * @returns {string} its color
   */
  const heatColor = (level) => {
    const at = Math.min(Math.max(level, 0), 1) * (HEAT.length - 1);
    const low = Math.min(Math.floor(at), HEAT.length - 2);
    const mixed = HEAT[low].map((value, i) => Math.round(value + (at - low) * (HEAT[low + 1][i] - value)));
    return `rgb(${mixed.join(", ")})`;
  };

  /**
   * Lay levels in [0, 1] over a scene that has been drawn, one block for each patch.
   *
   * @param {HTMLCanvasElement} canvas
   * @param {ArrayLike<number>} levels  row by row
   * @param {number} rows
   * @param {number} columns
   */
  const drawHeat = (canvas, levels, rows, columns) => {
    const context = canvas.getContext("2d");
    const side = canvas.clientWidth;
    if (!context || !side) return;
    context.globalAlpha = 0.62;
    for (let i = 0; i < rows * columns; i++) {
      const [row, column] = [Math.floor(i / columns), i % columns];
      /* Whole pixels, or neighbors would overlap or leave a seam. */
      const [left, right] = [column, column + 1].map((each) => Math.round((each * side) / columns));
      const [upper, lower] = [row, row + 1].map((each) => Math.round((each * side) / rows));
      context.fillStyle = heatColor(levels[i]);
      context.fillRect(left, upper, right - left, lower - upper);
    }
    context.globalAlpha = 1;
  };

  /**
   * List names with their shares as bars.
   *
   * @param {Bar[]} entries
   * @returns {HTMLOListElement}
   */
  const bars = (entries) => {
    const list = make("ol", "explorer-bars");
    for (const { name, share, right } of entries) {
      const label = make("span", "explorer-name", name);
      label.title = name;
      const fill = make("span", "explorer-fill");
      fill.style.width = `${Math.min(Math.max(100 * share, 0), 100)}%`;
      const bar = make("span", "explorer-bar", fill);
      const entry = make(
        "li",
        right ? "right" : "",
        label,
        bar,
        make("span", "explorer-share", percent(share)),
      );
      if (right) label.append(make("span", "explorer-hidden", " (right)"));
      list.append(entry);
    }
    return list;
  };

  /**
   * Draw a map of all places as cells, each filled as far as its level says, with one of them marked.
   *
   * @param {ArrayLike<number>} levels  in [0, 1], row by row
   * @param {number} rows
   * @param {number} columns
   * @param {[number, number]} marked  row and column
   * @param {string} text  what it shows, in words
   * @returns {SVGSVGElement}
   */
  const placeMap = (levels, rows, columns, marked, text) => {
    const map = draw("svg", {
      viewBox: `0 0 ${columns} ${rows}`,
      role: "img",
      "aria-label": text,
      class: "explorer-map",
    });
    for (let i = 0; i < rows * columns; i++) {
      const [row, column] = [Math.floor(i / columns), i % columns];
      const cell = { x: column + 0.05, y: row + 0.05, width: 0.9, height: 0.9, rx: 0.12 };
      map.append(draw("rect", { ...cell, class: "cell" }));
      if (levels[i] > 0) map.append(draw("rect", { ...cell, class: "level", "fill-opacity": levels[i] }));
    }
    const [row, column] = marked;
    const place = { cx: column + 0.5, cy: row + 0.5, r: 0.3 };
    map.append(draw("circle", { ...place, class: "halo" }), draw("circle", { ...place, class: "mark" }));
    return map;
  };

  /**
   * @template {keyof SVGElementTagNameMap} Tag
   * @param {Tag} tag
   * @param {Record<string, string | number>} attributes
   * @returns {SVGElementTagNameMap[Tag]}
   */
  const draw = (tag, attributes) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
    return made;
  };

  /**
   * Offer a choice of one among several, as a group of radio buttons. With a picture, the words are its text.
   *
   * @param {string} legend
   * @param {{words: string, picture?: string}[]} options
   * @param {(index: number) => void} choose
   * @returns {{group: HTMLFieldSetElement, show: (index: number) => void}}
   */
  const choice = (legend, options, choose) => {
    const title = make("legend", "", legend);
    const group = make("fieldset", "explorer-choice", title);
    const row = make("div", "explorer-options");
    const name = `explorer-${legend.toLowerCase().replace(/\W+/g, "-")}`;
    const inputs = options.map(({ words, picture }, index) => {
      const input = make("input");
      input.type = "radio";
      input.name = name;
      input.value = String(index);
      input.addEventListener("change", () => choose(index));
      const label = make("label", picture ? "pictured" : "", input);
      if (picture) {
        const image = make("img");
        image.src = picture;
        image.alt = words;
        image.draggable = false;
        label.title = words;
        label.append(image);
      } else {
        label.append(make("span", "", words));
      }
      row.append(label);
      return input;
    });
    group.append(row);
    const show = (/** @type {number} */ index) => {
      inputs.forEach((input, i) => (input.checked = i === index));
      const label = inputs[index] && inputs[index].parentElement;
      if (!label) return;
      if (options[index].picture) title.textContent = `${legend}: ${options[index].words}`;
      /* Bring it into the strip without moving the page, as scrollIntoView would. */
      const [start, end] = [label.offsetLeft, label.offsetLeft + label.offsetWidth];
      if (start < row.scrollLeft) row.scrollLeft = start;
      else if (end > row.scrollLeft + row.clientWidth) row.scrollLeft = end - row.clientWidth;
    };
    return { group, show };
  };

  /**
   * Offer a choice of one among many, as a menu.
   *
   * @param {string} legend
   * @param {string[]} options
   * @param {(index: number) => void} choose
   * @returns {{group: HTMLLabelElement, show: (index: number) => void}}
   */
  const menu = (legend, options, choose) => {
    const select = make("select", "", ...options.map((words) => make("option", "", words)));
    select.addEventListener("change", () => choose(select.selectedIndex));
    select.setAttribute("aria-label", legend);
    const group = make("label", "explorer-menu", make("span", "", legend), select);
    return { group, show: (index) => (select.selectedIndex = index) };
  };

  /**
   * Let somebody move something over an image: by mouse, by touch, or by the arrow keys while it has the focus.
   *
   * @param {HTMLElement} stage
   * @param {(x: number, y: number, begins: boolean) => void} drag  fractions of the side, also beyond the border
   * @param {(right: number, down: number) => void} step  -1, 0 or 1 each
   */
  const movable = (stage, drag, step) => {
    /** @type {Record<string, [number, number]>} */
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    let held = -1;
    const follow = (/** @type {PointerEvent} */ event, /** @type {boolean} */ begins) => {
      const box = stage.getBoundingClientRect();
      drag((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, begins);
    };
    stage.addEventListener("pointerdown", (event) => {
      if (held !== -1 || event.button !== 0) return;
      held = event.pointerId;
      stage.setPointerCapture(held);
      stage.classList.add("held");
      follow(event, true);
    });
    stage.addEventListener("pointermove", (event) => {
      if (event.pointerId === held) follow(event, false);
    });
    for (const end of /** @type {const} */ (["pointerup", "pointercancel", "lostpointercapture"])) {
      stage.addEventListener(end, (event) => {
        if (event.pointerId !== held) return;
        held = -1;
        stage.classList.remove("held");
      });
    }
    stage.addEventListener("keydown", (event) => {
      const by = steps[event.key];
      if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      step(...by);
    });
  };

  /**
   * Let something over which things are moved be spoken of, and make what stands below it: how to move them, and where
   * they are.
   *
   * @param {HTMLElement} stage
   * @param {string} described
   * @returns {{hint: HTMLParagraphElement, place: HTMLParagraphElement}}
   */
  const staged = (stage, described) => {
    const hint = make("p", "explorer-hint");
    hint.id = "explorer-hint";
    stage.tabIndex = 0;
    stage.setAttribute("role", "application");
    stage.setAttribute("aria-roledescription", described);
    stage.setAttribute("aria-describedby", hint.id);
    return { hint, place: make("p", "explorer-place") };
  };

  /** @type {(text: string) => HTMLParagraphElement} */
  const heading = (text) => make("p", "explorer-heading", text);

  /** @type {(drawn: Element, text: string, caption: HTMLElement) => HTMLElement} */
  const figure = (drawn, text, caption) => make("figure", "", heading(text), drawn, caption);

  /**
   * Explain the parts of a page, one sentence each, behind one click.
   *
   * @param {string} title
   * @param {[string, string][]} parts
   * @returns {HTMLDetailsElement}
   */
  const explanation = (title, parts) => {
    const list = make("dl", "");
    for (const [part, sentence] of parts) list.append(make("dt", "", part), make("dd", "", sentence));
    return make("details", "explorer-help", make("summary", "", title), list);
  };

  return {
    make,
    percent,
    nearest,
    drawScene,
    drawHeat,
    heatColor,
    bars,
    placeMap,
    choice,
    menu,
    movable,
    staged,
    heading,
    figure,
    explanation,
  };
})();
