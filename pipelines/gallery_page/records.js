"use strict";
/* A table's records: filtered, in pages, each page loaded when it is shown. */
{
  const PER_PAGE = 24;
  const { counted, element, number } = gallery;

  gallery.RecordList = class {
    /**
     * @param section the table's view
     * @param table its name
     * @param move called with the state to show next, and whether the reader can go back to this one
     */
    constructor(section, table, move) {
      this.table = table;
      this.index = gallery.summary.tables[table];
      this.kind = gallery.tables[table];
      this.shown = 0;
      this.typing = 0;
      section.append(document.getElementById("list").content.cloneNode(true));
      this.parts = Object.fromEntries(
        ["form", ".hits", ".cards", ".pager", ".place", "h2"].map((name) => [name, section.querySelector(name)]));
      this.connect(section, move);
    }

    connect(section, move) {
      const form = this.parts.form;
      const { text, facet } = form.elements;
      section.querySelector(".choice span").textContent = section.dataset.facet;
      facet.append(element("option", { value: "" }, "All"), ...this.index.names.map((name) => element("option", {}, name)));
      const state = (page) => ({ text: text.value, facet: facet.value, page });
      text.addEventListener("input", () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => {
          this.typing = 0;
          move(state(1), false);
        }, 150);
      });
      facet.addEventListener("change", () => move(state(1), true));
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        move(state(1), false);
      });
      form.addEventListener("reset", () => setTimeout(() => move(state(1), true)));
      this.parts[".pager"].addEventListener("click", (event) => {
        const pages = { first: 1, previous: this.page - 1, next: this.page + 1, last: this.pages };
        const page = pages[event.target.name];
        if (!page) return;
        move(state(page), true);
        this.parts.h2.focus();
      });
    }

    /** Shows a state: the text searched for, the facet's name, the page. */
    async show({ text = "", facet = "", page = 1 }) {
      const turn = ++this.shown;
      const form = this.parts.form.elements;
      if (!this.typing && form.text.value !== text) form.text.value = text;
      form.facet.value = facet;
      try {
        const hits = await this.find(text, facet);
        if (turn !== this.shown) return;
        this.pages = Math.max(1, Math.ceil(hits.length / PER_PAGE));
        this.page = Math.min(Math.max(1, page), this.pages);
        const places = hits.slice((this.page - 1) * PER_PAGE, this.page * PER_PAGE);
        const records = await gallery.fetchRecords(this.table, places);
        if (turn !== this.shown) return;
        this.parts[".cards"].replaceChildren(...records.map((one, at) => this.kind.draw(one, `${this.table}-${at}`, facet)));
        this.tell(hits.length);
      } catch (error) {
        this.parts[".hits"].textContent = `Part of the page is missing: ${error.message}`;
      }
    }

    /** Returns the places of the records that fit, in order; only a text needs the records themselves. */
    async find(text, facet) {
      const wanted = this.index.names.indexOf(facet);
      const all = [...Array(this.index.count).keys()];
      const places = wanted < 0 ? all : all.filter((place) => this.index.facets[place].includes(wanted));
      const needle = text.trim().toLowerCase();
      if (!needle) return places;
      this.parts[".hits"].textContent = "Searching …";
      const records = await gallery.fetchRecords(this.table, places);
      const holds = (record) => [...this.kind.words(record), ...this.kind.chosen(record, facet)]
        .some((one) => one.toLowerCase().includes(needle));
      return places.filter((_, at) => holds(records[at]));
    }

    /** Says how many records there are, and where among them the page is. */
    tell(hits) {
      const all = counted(this.index.count, ...this.kind.nouns);
      const found = hits === this.index.count ? all : `${number(hits)} of ${all}`;
      const pages = this.pages > 1 ? `, page ${number(this.page)} of ${number(this.pages)}` : "";
      this.parts[".hits"].textContent = hits || this.index.count === 0 ? `${found}${pages}` : `None of ${all} fits`;
      this.parts[".place"].textContent = `Page ${number(this.page)} of ${number(this.pages)}`;
      this.parts[".pager"].hidden = this.pages === 1;
      for (const button of this.parts[".pager"].querySelectorAll("button")) {
        const back = button.name === "first" || button.name === "previous";
        button.disabled = this.page === (back ? 1 : this.pages);
      }
    }
  };
}
