"use strict";
/* One card for each record of a table. */
{
  const { element, counted, time } = gallery;
  const OUTSIDE = /[/\\]/;

  function heading(record, number) {
    const parts = record.uri.split(OUTSIDE);
    const name = parts.pop() || record.uri;
    const title = element("h3", { id: `card-${number}` }, name);
    return element("header", {}, title, element("p", { class: "uri" }, record.uri));
  }

  function picture(record) {
    const [best] = record.captions;
    const text = best ? best[0] : "A photo without captions";
    if (record.thumbnail) {
      const { width, height } = record;
      const source = `thumbnails/${record.thumbnail}`;
      return element("img", { src: source, alt: text, width, height, loading: "lazy", decoding: "async" });
    }
    const label = `${text} (no picture: ${record.missing})`;
    return element("div", { class: "placeholder", role: "img", "aria-label": label },
      element("strong", {}, "No picture"), element("span", {}, record.missing));
  }

  function captions(record) {
    const items = record.captions.map(([text, similarity]) => {
      const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("span"));
      bar.firstChild.style.width = `${Math.max(0, Math.min(1, similarity)) * 100}%`;
      const value = element("span", { class: "value" }, similarity.toFixed(2));
      value.prepend(element("span", { class: "unseen" }, "similarity "));
      return element("li", {}, element("span", { class: "caption" }, text), bar, value);
    });
    return element("ol", { class: "captions", "aria-label": "Nearest captions" }, ...items);
  }

  function story(told) {
    const facts = `${counted(told.words, "word")} · cost ${told.cost} · told ${time(told.run)}`;
    return element("section", { class: "story" },
      element("h4", {}, told.style),
      element("p", { class: "told" }, told.story),
      element("p", { class: "facts" }, facts + (told.earlier ? " · of an earlier version of the photo" : "")));
  }

  function card(kind, number, ...parts) {
    return element("li", {}, element("article", { class: kind, "aria-labelledby": `card-${number}` }, ...parts));
  }

  function photoCard(record, number, style) {
    const stories = record.stories.filter((told) => !style || told.style === style);
    return card("photo", number,
      element("div", { class: "seen" }, picture(record), captions(record)),
      element("div", { class: "read" }, heading(record, number),
        element("div", { class: "stories" }, ...stories.map(story))));
  }

  function side(title, text) {
    return element("section", { class: "story" }, element("h4", {}, title),
      text == null ? element("p", { class: "none" }, "No story") : element("p", { class: "told" }, text));
  }

  function differenceCard(record, number) {
    const [first, second] = gallery.summary.compared;
    const kind = element("span", { class: `kind ${record.kind}` }, record.kind);
    const about = element("p", { class: "facts" }, kind, ` ${record.style}`, record.why && ` · ${record.why}`);
    return card("photo difference", number,
      element("div", { class: "seen" }, picture(record)),
      element("div", { class: "read" }, heading(record, number), about,
        element("div", { class: "stories" },
          side(`Run ${first}`, record.before), side(`Run ${second}`, record.after))));
  }

  function letterCard(record, number) {
    const next = record.retryable ? "will be tried again" : "waits for a new version of the photo";
    return card("letter", number, heading(record, number),
      element("p", { class: "message" }, record.message),
      element("p", { class: "facts" }, element("span", { class: "kind" }, record.error),
        ` at the stage ${record.stage} · ${next} · ${time(record.run)}`));
  }

  /** For each table: how a record is drawn, what is searched in it, and what records are called. */
  gallery.tables = {
    photos: {
      draw: photoCard,
      words: (record) => [record.uri, ...record.captions.map(([text]) => text)],
      chosen: (record, style) => record.stories.filter((told) => !style || told.style === style).map((told) => told.story),
      nouns: ["photo"],
    },
    differences: {
      draw: differenceCard,
      words: (record) => [record.uri, record.style, record.before || "", record.after || ""],
      chosen: () => [],
      nouns: ["difference"],
    },
    letters: {
      draw: letterCard,
      words: (record) => [record.uri, record.stage, record.error, record.message],
      chosen: () => [],
      nouns: ["dead letter"],
    },
  };
}
