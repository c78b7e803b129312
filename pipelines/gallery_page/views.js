"use strict";
/* The page's views. Where the reader is stands after the address's #, so that links and the back button work. */
{
  const { counted, summary, time } = gallery;
  const links = new Map([...document.querySelectorAll("header nav a")].map((link) => [link.hash.slice(1), link]));
  const lists = new Map();
  let current = null;

  function parse() {
    const [name, query] = location.hash.slice(1).split(/\?(.*)/s);
    const values = new URLSearchParams(query);
    const page = Number.parseInt(values.get("page"), 10) || 1;
    return { name, text: values.get("text") || "", facet: values.get("facet") || "", page };
  }

  function address(name, { text, facet, page }) {
    const values = new URLSearchParams();
    if (text) values.set("text", text);
    if (facet) values.set("facet", facet);
    if (page > 1) values.set("page", page);
    return `#${name}${values.size ? `?${values}` : ""}`;
  }

  function move(name, state, remember) {
    const next = address(name, state);
    if (next === location.hash) return;
    if (remember) location.hash = next;
    else location.replace(next);
  }

  function draw(name) {
    const section = document.getElementById(`view-${name}`);
    if (name === "plots") gallery.drawPlots(section, summary.figures);
    else lists.set(name, new gallery.RecordList(section, name, (state, remember) => move(name, state, remember)));
  }

  function show() {
    const state = parse();
    const name = state.name || "photos";
    if (!links.has(name)) return;
    if (name !== current) {
      for (const [other, link] of links) {
        document.getElementById(`view-${other}`).hidden = other !== name;
        if (other === name) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      if (!lists.has(name) && !document.querySelector(`#view-${name} .plot`)) draw(name);
      document.title = `${links.get(name).textContent} – Beam Storyteller`;
      if (current) document.getElementById(`title-${name}`).focus();
      current = name;
    }
    lists.get(name)?.show(state);
  }

  function introduce() {
    const newest = summary.runs.at(-1);
    const chosen = summary.run ? `Written by run ${summary.run}, ${time(summary.run)}` : `Newest run ${time(newest.number)}`;
    const { photos, letters } = summary.tables;
    const stories = photos.facets.reduce((sum, styles) => sum + styles.length, 0);
    document.getElementById("runs").textContent = [
      chosen, counted(photos.count, "photo"), counted(stories, "story", "stories"), counted(letters.count, "dead letter"),
    ].join(" · ");
    const [first, second] = summary.compared;
    document.querySelector("#view-differences .about").textContent = second
      ? `Stories of run ${second} (${time(second)}) beside those of run ${first} (${time(first)}).`
      : "There is one run only; differences come with the second.";
  }

  introduce();
  addEventListener("hashchange", show);
  show();
}
