"use strict";
const $ = (id) => document.getElementById(id);
const NS = "http://www.w3.org/2000/svg";
const state = { center: null, stations: [], channels: [], nChannel: 0, events: [], coast: null, language: "en" };
const t = (key, ...rest) => {
  const text = TEXTS[state.language][key];
  return typeof text === "function" ? text(...rest) : text;
};
const get = async (path) => {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error((await answer.text()).split("\n").slice(0, 3).join(" ").trim());
  return answer.json();
};
const shape = (name, attributes, parent) => {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
};
const element = (name, text, parent, className) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  parent.append(made);
  return made;
};

// Lambert azimuthal equal-area about the middle of what is shown.
const projection = () => {
  const rad = Math.PI / 180, lat0 = state.coast.latitude * rad, lon0 = state.coast.longitude * rad;
  return (longitude, latitude) => {
    const lat = latitude * rad, dlon = longitude * rad - lon0;
    const c = Math.sin(lat0) * Math.sin(lat) + Math.cos(lat0) * Math.cos(lat) * Math.cos(dlon);
    if (c < -0.9) return null;
    const k = 6371 * Math.sqrt(2 / (1 + c));
    return [k * Math.cos(lat) * Math.sin(dlon), -k * (Math.cos(lat0) * Math.sin(lat) - Math.sin(lat0) * Math.cos(lat) * Math.cos(dlon))];
  };
};

const drawMap = () => {
  const svg = $("map"), width = 800, height = 520;
  svg.replaceChildren();
  svg.setAttribute("aria-label", t("map"));
  const project = projection();
  const placed = (rows) => rows.filter((r) => r.latitude !== null && r.longitude !== null)
    .map((r) => [r, project(r.longitude, r.latitude)]).filter(([, at]) => at);
  const stations = placed(state.stations), events = placed(state.events);
  const about = (stations.length ? stations : events).map(([, at]) => at);
  if (!about.length) about.push([0, 0]);
  const xs = about.map((p) => p[0]), ys = about.map((p) => p[1]);
  const middle = [(Math.min(...xs) + Math.max(...xs)) / 2, (Math.min(...ys) + Math.max(...ys)) / 2];
  const span = Math.max(20, (Math.max(...xs) - Math.min(...xs)) * 1.3, (Math.max(...ys) - Math.min(...ys)) * 1.3 * width / height);
  const scale = width / span;
  const place = ([x, y]) => [width / 2 + (x - middle[0]) * scale, height / 2 + (y - middle[1]) * scale];
  for (const line of state.coast.lines) {
    const points = line.map(([lon, lat]) => project(lon, lat));
    if (points.some((p) => p === null)) continue;
    shape("polygon", { points: points.map((p) => place(p).map((v) => v.toFixed(1)).join(",")).join(" "), fill: "var(--land)", stroke: "var(--coast)", "stroke-width": 1 }, svg);
  }
  for (const line of state.coast.borders) {
    const points = line.map(([lon, lat]) => project(lon, lat)).filter((p) => p !== null);
    shape("polyline", { points: points.map((p) => place(p).map((v) => v.toFixed(1)).join(",")).join(" "), fill: "none", stroke: "var(--coast)", "stroke-width": .8, "stroke-dasharray": "4 3" }, svg);
  }
  const big = window.matchMedia("(max-width: 640px)").matches ? 2 : 1;  // the map is drawn at less than half its size
  for (const [event, at] of events) {
    const [x, y] = place(at), radius = big * Math.max(2, 1.5 * (event.magnitude ?? 1) + 1);
    const dot = shape("circle", { cx: x, cy: y, r: radius, fill: "var(--event)", "fill-opacity": .35, stroke: "var(--event)" }, svg);
    shape("title", {}, dot).textContent = `${event.time.slice(0, 19)} M ${event.magnitude ?? "?"} ${event.depth_km ?? "?"} km`;
  }
  const withData = new Set(state.channels.map((c) => c.id.split(".").slice(0, 2).join(".")));
  for (const [station, at] of stations) {
    const [x, y] = place(at), name = `${station.network}.${station.station}`;
    const mark = shape("path", { d: `M${x},${y - 6 * big}l${6 * big},${10 * big}h${-12 * big}z`, fill: withData.has(name) ? "var(--accent)" : "#b9c6d2", stroke: "#fff", tabindex: 0 }, svg);
    shape("title", {}, mark).textContent = `${name} ${station.site}`;
    mark.style.cursor = "pointer";
    mark.addEventListener("click", () => { $("filter").value = `${name}.`; drawAvailability(); });
    if (stations.length <= 60) shape("text", { x: x + 8 * big, y: y + 4 * big, "font-size": 11 * big, fill: "var(--ink)" }, svg).textContent = station.station;
  }
  const bar = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000].filter((km) => km * scale < 160).pop() ?? 1;
  shape("path", { d: `M20,${height - 20}v-6v6h${bar * scale}v-6`, fill: "none", stroke: "var(--ink)" }, svg);
  shape("text", { x: 26, y: height - 26, "font-size": 12 * big, fill: "var(--ink)" }, svg).textContent = `${bar} km`;
  $("map-note").textContent = t("mapNote");
};

const chosen = () => {
  const asked = $("filter").value.trim();
  const parts = asked.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".");
  const pattern = new RegExp(asked.includes("*") || asked.includes("?") ? `^${parts}` : parts, "i");
  return state.channels.filter((c) => pattern.test(c.id));
};

const drawAvailability = () => {
  const box = $("availability"), shown = chosen();
  box.replaceChildren();
  if (!shown.length) { element("p", t("none"), box); return; }
  const edges = shown.flatMap((c) => [Date.parse(c.spans[0][0]), Date.parse(c.spans[c.spans.length - 1][1])]);
  const low = Math.min(...edges), high = Math.max(...edges, low + 1000);
  const axis = element("div", undefined, box, "axis");
  element("span", new Date(low).toISOString().slice(0, 19), axis);
  element("span", t("more", shown.length, state.nChannel), axis);
  element("span", new Date(high).toISOString().slice(0, 19), axis);
  for (const channel of shown.slice(0, 500)) {
    const row = element("div", undefined, box, "row");
    const name = element("button", channel.id, row);
    name.type = "button";
    name.addEventListener("click", () => { choose(channel); showWave(); $("h-waveform").scrollIntoView(); });
    const svg = shape("svg", { viewBox: "0 0 1000 14", preserveAspectRatio: "none", "aria-hidden": "true" }, row);
    for (const [start, end] of channel.spans) {
      const x = 1000 * (Date.parse(start) - low) / (high - low), w = 1000 * (Date.parse(end) - Date.parse(start)) / (high - low);
      shape("rect", { x: Math.min(x, 998), y: 2, width: Math.max(w, 1.5), height: 10, fill: "var(--accent)" }, svg);
    }
    element("span", `${channel.sampling_rate_hz} Hz, ${t("gaps", channel.n_gap)}${channel.restricted ? `, ${t("restricted")}` : ""}`, row, "note");
  }
};

const drawEvents = () => {
  const box = $("events");
  box.replaceChildren();
  if (!state.events.length) { element("p", t("none"), box); return; }
  const table = element("table", undefined, box), head = element("tr", undefined, element("thead", undefined, table));
  const columns = [["time", "time", 0], ["magnitude", "magnitude", 1], ["latitude", "latitude", 4], ["longitude", "longitude", 4], ["depth", "depth_km", 1], ["catalog", "catalog", 0]];
  for (const [title, , decimals] of columns) element("th", t(title), head, decimals ? "num" : "");
  const body = element("tbody", undefined, table);
  for (const event of state.events.slice(0, 200)) {
    const row = element("tr", undefined, body);
    for (const [, name, decimals] of columns) {
      const value = event[name];
      const text = value === null ? "–" : decimals ? value.toFixed(decimals) : name === "time" ? value.slice(0, 19).replace("T", " ") : value;
      element("td", name === "magnitude" && value !== null ? `${event.magnitude_type} ${text}` : text, row, decimals ? "num" : "");
    }
  }
};

const lengths = [["second", 10, 10], ["minute", 1, 60], ["minute", 10, 600], ["hour", 1, 3600], ["hour", 6, 21600], ["day", 1, 86400]];
const choose = (channel) => {
  $("channel").value = channel.id;
  $("start").value = channel.spans[channel.spans.length - 1][0].slice(0, 19);
};

const showWave = async () => {
  const id = $("channel").value, begin = Date.parse(`${$("start").value.replace("Z", "")}Z`), seconds = Number($("length").value);
  if (!id || Number.isNaN(begin)) return;
  const start = new Date(begin).toISOString().replace("Z", ""), end = new Date(begin + 1000 * seconds).toISOString().replace("Z", "");
  const [network, station, location, channel] = id.split(".");
  $("wave-json").href = `/waveform.json?id=${id}&start=${start}&end=${end}`;
  $("wave-mseed").href = `/fdsnws/dataselect/1/query?net=${network}&sta=${station}&loc=${location || "--"}&cha=${channel}&start=${start}&end=${end}`;
  $("wave-note").textContent = t("loading");
  $("wave-note").className = "";
  try {
    drawWave(await get(`/waveform.json?id=${id}&start=${start}&end=${end}&points=1000`), begin, seconds);
  } catch (error) {
    $("wave-note").textContent = error.message;
    $("wave-note").className = "error";
  }
};

const drawWave = (wave, begin, seconds) => {
  const canvas = $("wave"), ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = 260;
  canvas.width = width * ratio; canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio); pen.clearRect(0, 0, width, height);
  const low = wave.traces.map((tr) => Math.min(...(tr.samples ?? tr.least).filter((v) => v !== null)));
  const high = wave.traces.map((tr) => Math.max(...(tr.samples ?? tr.greatest).filter((v) => v !== null)));
  const least = Math.min(...low), most = Math.max(...high), room = (most - least) || 1;
  const x = (ms) => 70 + (width - 80) * (ms - begin) / (1000 * seconds), y = (v) => 215 - 200 * (v - least) / room;
  pen.font = "12px system-ui"; pen.fillStyle = "#5b6b7c"; pen.strokeStyle = "#d5dde5";
  for (let i = 0; i <= 4; i++) {
    const at = begin + 250 * seconds * i;
    pen.beginPath(); pen.moveTo(x(at), 10); pen.lineTo(x(at), 222); pen.stroke();
    pen.textAlign = i === 4 ? "right" : i ? "center" : "left";
    pen.fillText(new Date(at).toISOString().slice(11, 23).replace(/\.000$/, ""), x(at), 240);
  }
  if (!wave.traces.length) { $("wave-note").textContent = [t("noData"), ...wave.failures].join(" "); return; }
  pen.textAlign = "right";
  for (const value of [least, most]) pen.fillText(Number(value.toPrecision(5)), 64, y(value) + 4);
  pen.strokeStyle = "#0b5c8a"; pen.lineWidth = 1;
  for (const trace of wave.traces) {
    const first = Date.parse(trace.start), step = 1000 * trace.step_s;
    pen.beginPath();
    (trace.samples ?? trace.least).forEach((value, i) => {
      if (value === null) return;
      const at = x(first + i * step);
      if (i) pen.lineTo(at, y(value)); else pen.moveTo(at, y(value));
      if (trace.greatest) pen.lineTo(at, y(trace.greatest[i]));
    });
    pen.stroke();
  }
  $("wave-note").textContent = [`${wave.id}, ${wave.start.slice(0, 19)} UTC, ${t("counts")}`, ...wave.failures].join(". ");
};

const code = () => {
  const channel = state.channels.find((c) => !c.restricted) ?? state.channels[0];
  const [n, s, l, c] = (channel?.id ?? "NET.STA..CHA").split("."), start = channel?.spans[0][0].slice(0, 19) ?? "2024-01-01T00:00:00";
  return `from obspy import UTCDateTime\nfrom obspy.clients.fdsn import Client\n\nclient = Client("${state.center.url}")\nt = UTCDateTime("${start}")\nstream = client.get_waveforms("${n}", "${s}", "${l}", "${c}", t, t + 60)\ninventory = client.get_stations(network="${n}", level="response")\ncatalog = client.get_events(minmagnitude=3)`;
};

const write = () => {
  document.documentElement.lang = state.language;
  for (const each of document.querySelectorAll("[data-t]")) each.textContent = t(each.dataset.t);
  const button = $("language");
  button.textContent = t("otherLanguage"); button.lang = t("otherCode");
  $("length").replaceChildren(...lengths.map(([unit, n, s]) => new Option(`${n} ${t(unit)}`, s, s === 60, s === 60)));
  $("name").textContent = document.title = state.center.name;
  $("lead").textContent = t("lead", state.center);
  $("code").textContent = code();
  $("services").replaceChildren();
  for (const [name, url] of Object.entries(state.center.services)) element("a", `fdsnws-${name}`, element("li", undefined, $("services"))).href = new URL(url).pathname;
  $("footer").textContent = `Kaname ${state.center.version}`;
  drawMap(); drawAvailability(); drawEvents();
};

const begin = async () => {
  const asked = new URLSearchParams(location.search).get("lang") ?? navigator.language;
  state.language = asked.startsWith("ja") ? "ja" : "en";
  try {
    const [center, stations, availability, events, coast] = await Promise.all(["center", "stations", "availability", "events", "coastlines"].map((n) => get(`/${n}.json`)));
    Object.assign(state, { center, stations, channels: availability.channels, nChannel: availability.n_channel, events, coast });
  } catch (error) {
    $("lead").textContent = t("noScriptError") + error.message; $("lead").className = "error"; return;
  }
  write();
  $("channel").replaceChildren(...state.channels.map((c) => new Option(c.id, c.id)));
  if (state.channels.length) { choose(state.channels[state.channels.length - 1]); showWave(); }
  $("filter").addEventListener("input", drawAvailability);
  $("channel").addEventListener("change", () => { choose(state.channels.find((c) => c.id === $("channel").value)); showWave(); });
  $("viewer").addEventListener("submit", (event) => { event.preventDefault(); showWave(); });
  for (const [name, sign] of [["earlier", -1], ["later", 1]]) $(name).addEventListener("click", () => {
    $("start").value = new Date(Date.parse(`${$("start").value.replace("Z", "")}Z`) + sign * 1000 * Number($("length").value)).toISOString().slice(0, 19);
    showWave();
  });
  $("language").addEventListener("click", () => { state.language = t("otherCode"); const kept = $("length").value; write(); $("length").value = kept; showWave(); });
};
begin();
