"use strict";
/* The page "Move it yourself": shows what a notebook computed (explorer-lookup.js) and lets readers move the object.
   Its state is in its address, and nowhere else. */

(function () {
  const VERSION = 2;
  const { make, percent, nearest, drawScene, drawHeat, bars, placeMap, choice, menu, movable } = crosseyedView;
  const { staged, heading, explanation } = crosseyedView;
  const MODE_WORDS = { one: "One object", two: "Two objects", help: "What helps" };

  /** @type {(count: number, noun: string, nouns?: string) => string} */
  const counted = (count, noun, nouns = `${noun}s`) =>
    `${count.toLocaleString("en")} ${count === 1 ? noun : nouns}`;

  /** @type {(relation: string) => string} */
  const spoken = (relation) => relation.replace(/_/g, " ");

  /** @type {(arrangement: Arrangement) => string} */
  const arranged = ({ relation, together }) => `${spoken(relation)}, ${together ? "together" : "apart"}`;

  /**
   * Find the best bar; of equals the first.
   *
   * @type {(entries: Bar[]) => Bar}
   */
  const bestOf = (entries) => entries.reduce((best, each) => (each.share > best.share ? each : best));

  /** @type {(right: boolean, text: string) => HTMLParagraphElement} */
  const verdict = (right, text) => {
    const sign = make("span", "explorer-sign", right ? "✓" : "✗");
    sign.setAttribute("role", "img");
    sign.setAttribute("aria-label", right ? "Right:" : "Wrong:");
    const said = make("span", "explorer-name", text);
    said.title = text;
    return make("p", right ? "explorer-verdict right" : "explorer-verdict", sign, " ", said);
  };

  /** @type {(name: string, beside: string) => HTMLParagraphElement} */
  const title = (name, beside) =>
    make("p", "explorer-model", make("strong", "", name), make("span", "", beside));

  /** @type {(drawn: Element, text: string, caption: string) => HTMLElement} */
  const figure = (drawn, text, caption) =>
    crosseyedView.figure(drawn, text, make("figcaption", "", caption));

  /**
   * @param {Explorer} data
   * @param {HTMLElement} root
   */
  const start = (data, root) => {
    const { models, names, objects, backgrounds, sizes, places, pairs, mitigations } = data;
    const lookup = crosseyedLookup.open(data);
    const { nameOf, keys, listed, modes } = lookup;

    let state = lookup.read(location.hash);
    let held = 0; // which of two objects is dragged
    let builtFor = "";
    let saving = 0;
    /** @type {(() => void)[]} */
    let drawings = []; // of the cards
    /** @type {(() => void)[]} */
    let choices = []; // each shows what is chosen
    /** @type {Record<string, HTMLImageElement>} */
    const pictures = {};

    /** @param {string} uri */
    const picture = (uri) => {
      if (!pictures[uri]) {
        pictures[uri] = new Image();
        pictures[uri].addEventListener("load", redraw);
        pictures[uri].src = uri;
      }
      return pictures[uri];
    };

    /** @type {(canvas: HTMLCanvasElement, marks?: Marks) => void} */
    const compose = (canvas, marks) => {
      const stands = lookup.standing(state).map(({ object, x, y, size }) => {
        return { image: picture(objects[object].image), x, y, size };
      });
      drawScene(canvas, picture(backgrounds[lookup.setting(state).background].image), stands, marks);
    };

    const sideNow = () => lookup.along(state).length;
    const placeWords = () => `column ${state.column + 1} of ${sideNow()}, row ${state.row + 1} of ${sideNow()}`;

    /* ---- Cards ------------------------------------------------------------------------------------------------- */

    /** @type {(levels: number[], text: string) => SVGSVGElement} */
    const clickable = (levels, text) => {
      const words = `${text}. The object stands at ${placeWords()}.`;
      const side = sideNow();
      const map = placeMap(levels, side, side, [state.row, state.column], words);
      map.addEventListener("click", (event) => {
        const box = map.getBoundingClientRect();
        /** @type {(share: number) => number} */
        const cell = (share) => Math.min(Math.max(Math.floor(share * side), 0), side - 1);
        const row = cell((event.clientY - box.top) / box.height);
        change({ row, column: cell((event.clientX - box.left) / box.width) });
      });
      return map;
    };

    /**
     * Draw where an object is recognised.
     *
     * @param {number[]} ranks
     */
    const mapOfRanks = (ranks) => {
      const levels = ranks.map((rank) => (rank === 1 ? 1 : rank <= 5 ? 0.3 : 0));
      const right = ranks.filter((rank) => rank === 1).length;
      const caption = `Right at ${right} of ${counted(ranks.length, "place")}, one image at each`;
      return figure(clickable(levels, caption), "Where it is right", caption);
    };

    /**
     * Draw how many objects are recognised where.
     *
     * @param {number} model
     */
    const mapOfAll = (model) => {
      const ranks = objects.map((_, object) => lookup.ranks(model, state, object));
      const right = ranks[0].map((_, i) => ranks.filter((each) => each[i] === 1).length);
      const all = right.reduce((sum, each) => sum + each, 0);
      const caption =
        `Here ${right[state.row * sideNow() + state.column]} of ${counted(objects.length, "object")} right, ` +
        `everywhere ${all.toLocaleString("en")} of ${counted(objects.length * right.length, "image")}`;
      const levels = right.map((each) => each / objects.length);
      return figure(clickable(levels, caption), "Where all objects are right", caption);
    };

    /** @param {number} model */
    const mapOfAttention = (model) => {
      const found = lookup.attended(model, state);
      if (!found) return figure(make("p", "explorer-none", models[model].noAttention), "Where it looks", "");
      const { levels, grid, most } = found;
      const caption = `${grid[0]} × ${grid[1]} patches, the brightest ${most.toFixed(2)} times its equal share`;
      const canvas = make("canvas", "explorer-square");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `Attention over the image: ${caption}.`);
      drawings.push(() => {
        compose(canvas);
        drawHeat(canvas, levels, ...grid);
      });
      return figure(canvas, "Where it looks", caption);
    };

    /** @type {(answer: Answer) => HTMLElement[]} */
    const said = ({ rank, own, best }) => {
      const place = rank === 255 ? "255 or worse" : String(rank);
      const words = `Rank ${place} of ${names.length}, share ${percent(own)}`;
      return [verdict(rank === 1, best[0].name), make("p", "explorer-rank", words)];
    };

    /** @type {(model: Model) => HTMLParagraphElement} */
    const titleOf = ({ name, role }) => title(name, role === "edition" ? "this edition" : "yardstick");

    const cardsOfOne = () =>
      models.map((model, i) => {
        const answer = lookup.single(i, state);
        const map = state.map === "all" ? mapOfAll(i) : mapOfRanks(lookup.ranks(i, state));
        const figures = make("div", "explorer-figures", map, mapOfAttention(i));
        return make("div", "explorer-card", titleOf(model), ...said(answer), bars(answer.best), figures);
      });

    const cardsOfTwo = () =>
      models.map((model, i) => {
        const captions = lookup.captions(i, state);
        const arrangements = (pairs ? pairs.arrangements : []).map((arrangement, a) => {
          const [right, ...others] = lookup.captions(i, state, a);
          const isBest = others.every(({ share }) => share <= right.share);
          return { name: arranged(arrangement), share: right.share, right: isBest };
        });
        const right = arrangements.filter((each) => each.right).length;
        const count = counted(arrangements.length, "arrangement");
        const best = bestOf(captions);
        const everywhere = bars(arrangements);
        everywhere.classList.add("explorer-arrangements");
        everywhere.children[state.arrangement].classList.add("chosen");
        return make(
          "div",
          "explorer-card",
          titleOf(model),
          verdict(best.right, best.name),
          heading("Four captions and their shares"),
          bars(captions),
          heading("The right caption, wherever they stand"),
          everywhere,
          make("p", "explorer-note", `Right in ${right} of ${count}, one image of each`),
        );
      });

    const cardsOfHelp = () =>
      models.map((model, i) => {
        const cards = lookup.helped(i, state).map(({ name, passes, found, ranks }) => {
          const figures = make("div", "explorer-figures", mapOfRanks(ranks));
          const top = title(name, counted(passes, "pass", "passes"));
          return make("div", "explorer-card", top, ...said(found), figures);
        });
        const left = (mitigations ? mitigations.models[i].leftOut : []).map(({ name, reason }) =>
          make("p", "explorer-note", `Without ${name}: ${reason}`),
        );
        return make("div", "explorer-row", titleOf(model), make("div", "explorer-cards", ...cards), ...left);
      });

    const cardsOf = { one: cardsOfOne, two: cardsOfTwo, help: cardsOfHelp };

    /* ---- In words ---------------------------------------------------------------------------------------------- */

    const questions = {
      one: () => "Which name fits best?",
      two: () => "Which of the four captions fits best?",
      help: () => `Is it recognised as ${nameOf(state.object)}?`,
    };

    const summaryLines = () =>
      models.map(({ name }, i) => {
        const start = make("strong", "", `${name}:`);
        if (state.mode === "help") {
          const [plain, ...others] = lookup.helped(i, state).map(({ found }) => found.rank === 1);
          const right = others.filter(Boolean).length;
          const words = `plain ${plain ? "✓" : "✗"}, mitigated ${right} of ${others.length} ✓`;
          return make("p", "explorer-verdict plain", start, make("span", "", words));
        }
        const best =
          state.mode === "two" ? bestOf(lookup.captions(i, state)) : lookup.single(i, state).best[0];
        const line = verdict(best.right, best.name);
        line.prepend(start);
        line.append(make("span", "", percent(best.share)));
        return line;
      });

    /**
     * Say one sentence of each part.
     *
     * @returns {[string, string][]}
     */
    const explained = () => {
      const grids = backgrounds.map(({ name }, i) => {
        const side = places[i][0].length;
        return `${side} × ${side} places on the ${name} background`;
      });
      /** @type {Record<string, string>} */
      const parts = {
        "The image":
          "What the models are shown; an object stands only where answers were computed, at the dots, " +
          "and nothing in between is made up.",
        Background: `An object has ${grids.join(", and ")}.`,
        "Four captions":
          "Both objects, each of them alone, and two others, as What'sUp asks; the shares say how a model " +
          "divides its belief among these four.",
        "Wherever they stand":
          "The share of the right caption in each arrangement, with a tick where no other caption has more.",
        "Five best names":
          "Those that fit the image best; the object's own name is bold and its bar is colored.",
        Rank:
          `The place of the object's own name when all ${counted(names.length, "name")} are sorted by how well ` +
          "they fit the image; 1 is right.",
        Share:
          "How a model divides its belief among all names: the softmax of its similarities at its own scale, " +
          "so the shares of two models cannot be compared.",
        "Where it is right":
          "Each cell is one image with the object there, full where its own name comes first and pale where " +
          "it is among the first five; the ring marks the present place, and a click moves the object.",
        "Where all objects are right":
          "The same map for all objects together: the fuller a cell, the more of them are recognised there.",
        "Where it looks":
          "How much the token that becomes the image's embedding attends to each patch in the last layer, " +
          "as the mean over heads, from dark (little) to yellow (most).",
        "What helps":
          "Ways to ask the same model without training it; a pass is one run of the model on one view of " +
          "the image.",
      };
      const shown = {
        one: [
          "Background",
          "Five best names",
          "Rank",
          "Share",
          "Where it is right",
          "Where all objects are right",
          "Where it looks",
        ],
        two: ["Four captions", "Wherever they stand"],
        help: ["What helps", "Rank", "Share", "Where it is right"],
      }[state.mode];
      return ["The image", ...shown].map((part) => /** @type {[string, string]} */ ([part, parts[part]]));
    };

    /* ---- The page ---------------------------------------------------------------------------------------------- */

    const stage = make("canvas", "explorer-stage explorer-square");
    const { hint, place } = staged(stage, "image with an object to move");
    const summary = make("div", "explorer-summary");
    summary.setAttribute("role", "status");
    const controls = make("div", "explorer-controls");
    const cards = make("div", "explorer-cards");
    const help = make("div");
    const left = make("div", "explorer-left", stage, hint, place);
    const ways = modes.map((mode) => ({ words: MODE_WORDS[mode] }));
    const mode = choice("Show", ways, (i) => change({ mode: modes[i] }));
    mode.group.classList.add("explorer-modes");

    /**
     * Put a choice on the page, and keep what shows it.
     *
     * @param {{group: HTMLElement, show: (index: number) => void}} made
     * @param {() => number} chosen
     */
    const offer = ({ group, show }, chosen) => {
      choices.push(() => show(chosen()));
      controls.append(group);
    };

    const offerBackground = () => {
      const options = backgrounds.map(({ name, image }) => ({ words: name, picture: image }));
      const made = choice("Background", options, (background) => change({ background }));
      offer(made, () => state.background);
    };

    const offerPairs = (/** @type {NonNullable<Explorer["pairs"]>} */ { objects: both, arrangements }) => {
      const named = both.map(([first, second]) => `${nameOf(first)} and ${nameOf(second)}`);
      const pair = menu("Objects", named, (i) => change({ pair: i }));
      offer(pair, () => state.pair);
      const ways = arrangements.map((each) => ({ words: arranged(each) }));
      const way = choice("The first is … the second", ways, (arrangement) => change({ arrangement }));
      offer(way, () => state.arrangement);
      offerBackground();
    };

    const offerObjects = (/** @type {number[]} */ shown) => {
      const options = shown.map((i) => ({ words: keys[i], picture: objects[i].image }));
      const strip = choice("Object", options, (i) => change({ object: shown[i] }));
      strip.group.classList.add("explorer-strip");
      offer(strip, () => shown.indexOf(state.object));
    };

    const offerRest = () => {
      offerBackground();
      const shares = sizes.map((each) => ({ words: `${Math.round(100 * each)}% of the side` }));
      const size = choice("Size", shares, (i) => change({ size: i }));
      offer(size, () => state.size);
      const { MAPS } = crosseyedLookup;
      const maps = [{ words: "this object" }, { words: `all ${counted(objects.length, "object")}` }];
      const map = choice("Map of", maps, (i) => change({ map: MAPS[i] }));
      offer(map, () => MAPS.indexOf(state.map));
    };

    /** Build the choices of a mode, and what explains it. */
    const build = () => {
      builtFor = state.mode;
      choices = [() => mode.show(modes.indexOf(state.mode))];
      controls.replaceChildren();
      if (state.mode === "two" && pairs) offerPairs(pairs);
      else if (state.mode === "help" && mitigations) {
        offerObjects(listed.filter((i) => mitigations.objects.includes(i)));
      } else {
        offerObjects(listed);
        offerRest();
      }
      help.replaceChildren(explanation("What am I seeing?", explained()));
    };

    const redraw = () => {
      const isOpen = stage.matches(":hover, :focus, .held");
      const { x, y } = lookup.standing(state)[state.mode === "two" ? held : 0];
      compose(stage, isOpen ? { places: lookup.spots(state, held), chosen: [x, y] } : undefined);
      drawings.forEach((draw) => draw());
    };

    const show = () => {
      if (builtFor !== state.mode) build();
      choices.forEach((each) => each());
      const two = state.mode === "two" && pairs;
      const [first, second] = two ? pairs.objects[state.pair].map(nameOf) : [nameOf(state.object), ""];
      place.textContent = two
        ? `${first} ${spoken(pairs.arrangements[state.arrangement].relation)} ${second}`
        : `${first}: ${placeWords()}`;
      stage.setAttribute("aria-label", `Image, ${place.textContent}`);
      hint.textContent = `Drag ${two ? "either" : "the"} object, or use the arrow keys.`;
      drawings = [];
      summary.replaceChildren(make("p", "explorer-question", questions[state.mode]()), ...summaryLines());
      cards.replaceChildren(...cardsOf[state.mode]());
      cards.dataset.mode = state.mode;
      redraw();
    };

    /** @param {Partial<State>} to */
    const change = (to) => {
      const next = lookup.possible({ ...state, ...to }, state);
      if (lookup.written(next) === lookup.written(state)) return;
      state = next;
      show();
      /* Browsers refuse addresses that change too often. */
      clearTimeout(saving);
      saving = window.setTimeout(() => history.replaceState(history.state, "", lookup.written(state)), 150);
    };

    /** @type {(x: number, y: number, begins: boolean) => void} */
    const drag = (x, y, begins) => {
      if (state.mode !== "two" || !pairs) {
        const along = lookup.along(state);
        change({ row: nearest(along, y), column: nearest(along, x) });
        return;
      }
      /** @type {(spots: [number, number][]) => number[]} */
      const distances = (spots) => spots.map((spot) => Math.hypot(spot[0] - x, spot[1] - y));
      if (begins) {
        held = nearest(distances(pairs.arrangements[state.arrangement].at), 0);
        redraw();
      }
      const all = distances(lookup.spots(state, held));
      /* Where several arrangements have the object at the same place, the present one stays. */
      const best = nearest(all, 0);
      change({ arrangement: all[state.arrangement] <= all[best] + 1e-9 ? state.arrangement : best });
    };

    /** @type {(right: number, down: number) => void} */
    const step = (right, down) => {
      if (state.mode === "two" && pairs) {
        const count = pairs.arrangements.length;
        change({ arrangement: (state.arrangement + right + down + count) % count });
        return;
      }
      /** @type {(index: number) => number} */
      const within = (index) => Math.min(Math.max(index, 0), sideNow() - 1);
      change({ row: within(state.row + down), column: within(state.column + right) });
    };

    movable(stage, drag, step);
    for (const event of ["pointerenter", "pointerleave", "pointerup", "focus", "blur"]) {
      stage.addEventListener(event, redraw);
    }
    window.addEventListener("hashchange", () => {
      if (!new URLSearchParams(location.hash.slice(1)).has("show")) return; // a heading of the page
      state = lookup.read(location.hash);
      show();
    });
    new ResizeObserver(redraw).observe(root);
    const top = make("div", "explorer-top", left, summary, controls);
    root.replaceChildren(make("p", "explorer-banner", data.banner), mode.group, top, cards, help);
    show();
  };

  const begin = () => {
    const root = document.getElementById("explorer");
    if (!root || root.dataset.started) return;
    root.dataset.started = "yes";
    const global = /** @type {{crosseyedExplorer?: Explorer}} */ (/** @type {unknown} */ (window));
    const data = global.crosseyedExplorer;
    /** @param {string} sentence */
    const say = (sentence) => root.prepend(make("p", "explorer-banner", sentence));
    if (!data) {
      say(
        "The answers that this page looks up are missing from this edition; make the book again to have them.",
      );
    } else if (data.version !== VERSION) {
      say(
        "The answers of this edition are in the form of another version; make the book again to see them here.",
      );
    } else {
      try {
        start(data, root);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        say(`The answers of this edition cannot be read (${reason}); make the book again.`);
      }
    }
  };

  /* At once where the script stands behind all that it needs, so that what follows on the page never moves. */
  const isReady = document.getElementById("explorer") && "crosseyedExplorer" in window;
  if (isReady || document.readyState !== "loading") begin();
  else document.addEventListener("DOMContentLoaded", begin);
})();
