"use strict";
/* What a notebook computed for the page "Move it yourself", looked up for a state of the page. It draws nothing.
   crosseyed/explorer/format.py says what the data are. */

/**
 * @typedef {{dtype: "uint8" | "uint16", shape: number[], data: string}} Packed
 * @typedef {{rank: Packed, own: Packed, top: Packed, share: Packed}} PackedAnswers
 * @typedef {{name: string, role: "edition" | "yardstick", attention: [number, number] | null,
 *   noAttention: string}} Model
 * @typedef {{relation: string, together: boolean, at: [[number, number], [number, number]]}} Arrangement
 * @typedef {{name: string, passes: number}} Candidate
 *
 * @typedef {object} Explorer
 * @property {number} version
 * @property {string} edition
 * @property {string} size
 * @property {string} banner
 * @property {Model[]} models
 * @property {string[]} names
 * @property {{name: number, image: string}[]} objects
 * @property {{name: string, image: string}[]} backgrounds
 * @property {number[]} sizes
 * @property {number[][][]} places
 * @property {(PackedAnswers & {attention: (Packed | null)[], peak: (Packed | null)[]})[]} single
 * @property {{objects: [number, number][], captions: string[][], arrangements: Arrangement[], size: number,
 *   share: Packed} | null} pairs
 * @property {{objects: number[], background: number, size: number, models: ({candidates: Candidate[],
 *   leftOut: {name: string, reason: string}[]} & PackedAnswers)[]} | null} mitigations
 *
 * @typedef {{values: ArrayLike<number>, shape: number[]}} Table  An array that was unpacked.
 * @typedef {{rank: Table, own: Table, top: Table, share: Table}} Answers
 * @typedef {{rank: number, own: number, best: Bar[]}} Answer  Of one model to one scene; `own`: share of the own name.
 * @typedef {"one" | "two" | "help"} Mode
 * @typedef {{object: number, x: number, y: number, size: number}} Stand  An object in a scene, by its index.
 *
 * @typedef {object} State  What the page shows; numbers are indices.
 * @property {Mode} mode
 * @property {number} object
 * @property {number} background
 * @property {number} size
 * @property {number} row
 * @property {number} column
 * @property {"object" | "all"} map
 * @property {number} pair
 * @property {number} arrangement
 */

var crosseyedLookup = (function () {
  const MAPS = /** @type {const} */ (["object", "all"]);
  const MODES = /** @type {const} */ (["one", "two", "help"]);

  /**
   * @param {Packed} packed
   * @returns {Table}
   */
  const unpack = ({ dtype, shape, data }) => {
    const text = atob(data);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const values = dtype === "uint16" ? new Uint16Array(bytes.buffer) : bytes;
    const length = shape.reduce((product, each) => product * each, 1);
    if (values.length !== length) throw new Error("an array is cut off");
    return { values, shape };
  };

  /**
   * @param {PackedAnswers} packed
   * @returns {Answers}
   */
  const unpackAnswers = ({ rank, own, top, share }) => ({
    rank: unpack(rank),
    own: unpack(own),
    top: unpack(top),
    share: unpack(share),
  });

  /**
   * Take what lies at the first indices of a table; the last axis runs fastest.
   *
   * @param {Table} table
   * @param {...number} indices
   * @returns {number[]}
   */
  const slice = ({ values, shape }, ...indices) => {
    const rest = shape.slice(indices.length).reduce((product, each) => product * each, 1);
    const start = rest * indices.reduce((sum, index, axis) => sum * shape[axis] + index, 0);
    return Array.prototype.slice.call(values, start, start + rest);
  };

  /**
   * Unpack the data of an edition.
   *
   * @param {Explorer} data
   */
  const open = (data) => {
    const { names, objects, backgrounds, sizes, places, pairs, mitigations } = data;
    const single = data.single.map(unpackAnswers);
    const attention = data.single.map((each) => each.attention.map((maps) => maps && unpack(maps)));
    const peak = data.single.map((each) => each.peak.map((peaks) => peaks && unpack(peaks)));
    const shares = pairs && unpack(pairs.share);
    const mitigated = mitigations && mitigations.models.map(unpackAnswers);

    const middle = (places[0][0].length - 1) / 2;
    const offered = { one: true, two: Boolean(pairs), help: Boolean(mitigations) };
    const modes = MODES.filter((mode) => offered[mode]);

    /** @param {number} object */
    const nameOf = (object) => names[objects[object].name];

    /* In the address an object goes by its name, so that a link means the same in another edition. */
    const keys = objects.map(({ name }, i) => {
      const before = objects.slice(0, i).filter((each) => each.name === name).length;
      return before ? `${nameOf(i)} ${before + 1}` : nameOf(i);
    });
    const listed = objects.map((_, i) => i).sort((a, b) => keys[a].localeCompare(keys[b]));

    /* The page begins where something can be lost: with an object that the first model recognises in the middle. */
    const known = listed.find((i) => slice(single[0].rank, 0, i, 0, middle, middle)[0] === 1);
    /** @type {State} */
    const initial = {
      mode: "one",
      object: known === undefined ? listed[0] : known,
      background: 0,
      size: 0,
      row: middle,
      column: middle,
      map: "object",
      pair: 0,
      arrangement: 0,
    };

    /**
     * Say which background and size a state has.
     *
     * @param {State} state
     */
    const setting = (state) => (state.mode === "help" && mitigations ? mitigations : state);

    /**
     * List where the one object of a state can stand along a side.
     *
     * @param {State} state
     */
    const along = (state) => {
      const { background, size } = setting(state);
      return places[background][size];
    };

    /**
     * Make a state show something that there is: not all objects have been asked about with mitigations, and an object
     * goes to the nearest place of another grid.
     *
     * @param {State} state
     * @param {State} before  whose grid row and column are of
     * @returns {State}
     */
    const possible = (state, before) => {
      const lacks = state.mode === "help" && mitigations && !mitigations.objects.includes(state.object);
      const [old, now] = [before, state].map((each) => along(each).length - 1);
      const [row, column] = [state.row, state.column].map((index) => Math.round((index * now) / old));
      return { ...state, object: lacks ? mitigations.objects[0] : state.object, row, column };
    };

    /**
     * Read a state from the fragment of an address; what is missing or bad there is as at the beginning.
     *
     * @param {string} fragment
     */
    const read = (fragment) => {
      const given = new URLSearchParams(fragment.replace(/^#/, ""));
      /** @type {(key: string, length: number, otherwise: number) => number} */
      const index = (key, length, otherwise) => {
        const text = given.get(key) || "";
        const number = /^\d{1,4}$/.test(text) ? Number(text) : 0;
        return number >= 1 && number <= length ? number - 1 : otherwise;
      };
      const object = keys.indexOf(given.get("object") || "");
      const asked = {
        ...initial,
        mode: modes.find((mode) => mode === given.get("show")) || initial.mode,
        object: object < 0 ? initial.object : object,
        background: index("background", backgrounds.length, initial.background),
        size: index("size", sizes.length, initial.size),
        map: MAPS.find((map) => map === given.get("map")) || initial.map,
        pair: index("pair", pairs ? pairs.objects.length : 0, initial.pair),
        arrangement: index("arrangement", pairs ? pairs.arrangements.length : 0, initial.arrangement),
      };
      const state = possible(asked, initial);
      const side = along(state).length;
      return { ...state, row: index("row", side, state.row), column: index("column", side, state.column) };
    };

    /**
     * Write a state as the fragment of an address; of it, what its mode shows.
     *
     * @param {State} state
     */
    const written = ({ mode, object, background, size, row, column, map, pair, arrangement }) => {
      const place = { object: keys[object], row: row + 1, column: column + 1 };
      const shown = {
        one: { ...place, background: background + 1, size: size + 1, map },
        two: { pair: pair + 1, arrangement: arrangement + 1, background: background + 1 },
        help: place,
      }[mode];
      const text = new URLSearchParams({ show: mode });
      for (const [key, value] of Object.entries(shown)) text.set(key, String(value));
      return `#${text}`;
    };

    /**
     * Say what stands where, from back to front.
     *
     * @param {State} state
     * @returns {Stand[]}
     */
    const standing = (state) => {
      if (state.mode === "two" && pairs) {
        const { at } = pairs.arrangements[state.arrangement];
        return pairs.objects[state.pair].map((object, i) => {
          return { object, x: at[i][0], y: at[i][1], size: pairs.size };
        });
      }
      const [x, y] = [state.column, state.row].map((index) => along(state)[index]);
      return [{ object: state.object, x, y, size: sizes[setting(state).size] }];
    };

    /**
     * List where an object can stand; of two objects, the first or the second.
     *
     * @param {State} state
     * @param {number} which
     * @returns {[number, number][]}
     */
    const spots = (state, which) => {
      if (state.mode === "two" && pairs) return pairs.arrangements.map(({ at }) => at[which]);
      return along(state).flatMap((y) => along(state).map((x) => /** @type {[number, number]} */ ([x, y])));
    };

    /**
     * @param {Answers} answers
     * @param {number[]} at  indices of the scene
     * @param {number} object
     * @returns {Answer}
     */
    const answer = (answers, at, object) => {
      const best = slice(answers.share, ...at);
      return {
        rank: slice(answers.rank, ...at)[0],
        own: slice(answers.own, ...at)[0] / 1000,
        best: slice(answers.top, ...at).map((name, i) => {
          return { name: names[name], share: best[i] / 1000, right: name === objects[object].name };
        }),
      };
    };

    /**
     * What a model says of the one object of a state.
     *
     * @param {number} model
     * @param {State} state
     */
    const lone = (model, { object, background, size, row, column }) =>
      answer(single[background], [model, object, size, row, column], object);

    /**
     * Ranks of an object at all places, row by row, with the background and size of a state.
     *
     * @param {number} model
     * @param {State} state
     * @param {number} [other]  another object
     */
    const ranks = (model, { object, background, size }, other = object) =>
      slice(single[background].rank, model, other, size);

    /**
     * Attention of a model over the image of a state, null where it has none.
     *
     * @param {number} model
     * @param {State} state
     */
    const attended = (model, { object, background, size, row, column }) => {
      const grid = data.models[model].attention;
      const [maps, peaks] = [attention[background][model], peak[background][model]];
      if (!grid || !maps || !peaks) return null;
      const at = [object, size, row, column];
      const levels = slice(maps, ...at).map((level) => level / 255);
      return { levels, grid, most: slice(peaks, ...at)[0] / 100 };
    };

    /**
     * The four captions of two objects with their shares; the first is right.
     *
     * @param {number} model
     * @param {State} state
     * @param {number} [other]  another arrangement
     * @returns {Bar[]}
     */
    const captions = (model, { pair, background, arrangement }, other = arrangement) => {
      if (!pairs || !shares) return [];
      const found = slice(shares, model, pair, background, other);
      return pairs.captions[pair].map((name, i) => ({ name, share: found[i] / 1000, right: i === 0 }));
    };

    /**
     * What each mitigation makes of the answer to a state, and the ranks at all places with it.
     *
     * @param {number} model
     * @param {State} state
     */
    const helped = (model, { object, row, column }) => {
      if (!mitigations || !mitigated) return [];
      const at = mitigations.objects.indexOf(object);
      return mitigations.models[model].candidates.map(({ name, passes }, i) => {
        const found = answer(mitigated[model], [i, at, row, column], object);
        return { name, passes, found, ranks: slice(mitigated[model].rank, i, at) };
      });
    };

    const words = { nameOf, keys, listed, modes };
    const address = { read, written, possible };
    return {
      ...words,
      ...address,
      setting,
      along,
      standing,
      spots,
      single: lone,
      ranks,
      attended,
      captions,
      helped,
    };
  };

  return { open, MAPS };
})();
