// SPDX-License-Identifier: Apache-2.0
// swarm_map.js - a job as stations and ways: what the graph shows, whatever the number of tasks.
//
//     plan (lead) ─► scout ─► one station a worker ─► answer
//                     └────────── lead ──────────────┘
//
// Each task stands at exactly one station, where it is worked on or was last worked on.  Ways carry
// how many tasks took them.

import { modelSpeed } from "./events.js";

function station(id, title, duty, names, tasks) {
  return { id, title, duty, models: names, tasks };
}

function leadOf(job, duties) {
  const named = Object.keys(duties).find((name) => duties[name] === "lead");
  if (named) return named;
  const isLead = (m) => m.roles.lead || m.roles.plan || m.roles.audit;
  return [...job.models.values()].find(isLead)?.name ?? "lead";
}

// null: the swarm has none, or none that is known
function scoutOf(job, duties) {
  const named = Object.keys(duties).find((name) => duties[name] === "scout");
  return named ?? [...job.models.values()].find((m) => m.roles.scout)?.name ?? null;
}

const WAITING = "waiting";

// Where a task stands: its lead once it went up, its worker once it was routed, before that the
// scout, or where tasks wait if there is none.
function placeOf(task, lead, scout, isSingle) {
  if (isSingle || (task.escalated && task.model !== task.worker)) return lead;
  return task.worker || task.model || scout || WAITING;
}

function groupTasks(job, lead, scout) {
  const groups = new Map();
  for (const task of job.tasks) {
    if (!task) continue;
    const place = placeOf(task, lead, scout, job.single);
    if (!groups.has(place)) groups.set(place, []);
    groups.get(place).push(task);
  }
  return groups;
}

function figuresOf(job, names) {
  const models = names.map((name) => job.models.get(name)).filter(Boolean);
  const sum = (key) => models.reduce((total, m) => total + m[key], 0);
  return {
    running: sum("running"),
    calls: sum("calls"),
    cost_usd: sum("cost_usd"),
    speed: models.length === 1 ? modelSpeed(models[0]) : null,
  };
}

function waysOf(job, workers, scout) {
  const ways = [];
  const add = (from, to, count, kind = "flow") => count && ways.push({ from, to, count, kind });
  const all = job.tasks.filter(Boolean);
  if (job.single) {
    add("plan", "lead", all.length);
    add("lead", "answer", all.filter((t) => t.state === "accepted").length);
    return ways;
  }
  const start = scout ? "scout" : "plan";
  if (scout) add("plan", "scout", all.length);
  let direct = 0;
  for (const { id, models } of workers) {
    const mine = all.filter((t) => t.worker === models[0]);
    const up = mine.filter((t) => t.escalated);
    add(start, id, mine.length);
    add(id, "lead", up.length, "up");
    add(id, "answer", mine.filter((t) => t.state === "accepted" && t.model === t.worker).length);
    direct += up.length;
  }
  add(start, "lead", job.escalated - direct, "up");
  const isOver = (t) => t.state !== "open" && t.state !== "routed";
  add(start, "answer", scout ? scout.tasks.filter(isOver).length : 0);
  add(
    "lead",
    "answer",
    all.filter((t) => t.escalated && t.state === "accepted" && t.model !== t.worker).length,
    "up",
  );
  return ways;
}

function firstStation(job, scout, groups) {
  if (job.single) return null;
  if (scout) return station("scout", scout, "scout", [scout], groups.get(scout) ?? []);
  const waiting = groups.get(WAITING);
  return waiting ? station("scout", WAITING, "scout", [], waiting) : null;
}

// duties: {model name: "lead" | "scout" | "worker"}, as far as known
export function mapSwarm(job, duties = {}) {
  const lead = leadOf(job, duties);
  const scout = scoutOf(job, duties);
  const groups = groupTasks(job, lead, scout);
  const known = Object.keys(duties).filter((name) => duties[name] === "worker");
  const names = [...new Set([...known, ...groups.keys()])].filter(
    (name) => ![lead, scout, WAITING].includes(name),
  );
  const active = names.filter((name) => groups.has(name) || job.models.has(name));
  const idle = names.length - active.length;
  const workers = active
    .map((name) => station(`w:${name}`, name, "worker", [name], groups.get(name) ?? []))
    .sort((a, b) => (a.title < b.title ? -1 : 1));
  const first = firstStation(job, scout, groups);
  const stations = [
    station("plan", "Plan", "plan", [], []),
    ...(first ? [first] : []),
    ...workers,
    station("lead", lead, "lead", [lead], groups.get(lead) ?? []),
    station("answer", "Answer", "answer", [], []),
  ];
  for (const s of stations) Object.assign(s, figuresOf(job, s.models));
  return { stations, ways: waysOf(job, workers, first), idle };
}

// ---- Where stations are drawn -----------------------------------------------------------------

export const CARD = { head: 34, pad: 11, gap: 10 };
const WIDTHS = { plan: 166, scout: 150, worker: 226, lead: 176, answer: 140 };
const GAP_MIN = 32; // between columns; narrower places are filled row by row
const CELLS_HEIGHT = { scout: 72, worker: 38, lead: 90 };
const CELL = { most: 14, least: 4 };

// The side of a cell so that `count` of them fill a field of that width, at most so high; and how
// many tasks one cell stands for when they would be too small to see.
export function fitCells(count, width, heightMax) {
  for (let size = CELL.most; size >= CELL.least; size--) {
    const columns = Math.floor(width / size);
    const rows = Math.max(1, Math.ceil(count / columns));
    if (rows * size <= heightMax) return { size, columns, rows, each: 1 };
  }
  const columns = Math.floor(width / CELL.least);
  const rowsMax = Math.floor(heightMax / CELL.least);
  const each = Math.ceil(count / (columns * rowsMax));
  return { size: CELL.least, columns, rows: Math.ceil(count / each / columns), each };
}

// A card of that width: where its cells are, and how high it is.
function sizeCard(station, w) {
  if (station.duty === "plan") return { ...station, w, h: w < 220 ? 144 : 96 };
  if (station.duty === "answer") return { ...station, w, h: 124 };
  if (!station.tasks.length) return { ...station, w, h: CARD.head };
  const width = Math.floor(w) - 2 * CARD.pad;
  const fit = fitCells(station.tasks.length, width, CELLS_HEIGHT[station.duty]);
  return { ...station, w, h: CARD.head + fit.rows * fit.size + CARD.pad, fit, cellsWidth: width };
}

// Columns from left to right, or rows from top to bottom when the place is narrow.
export function placeStations(map, width) {
  const duties = Object.keys(WIDTHS).filter((duty) => map.stations.some((s) => s.duty === duty));
  const columns = duties.map((duty) => map.stations.filter((s) => s.duty === duty));
  const least = duties.reduce((sum, duty) => sum + WIDTHS[duty] + GAP_MIN, -GAP_MIN);
  return least <= width ? placeColumns(columns, width, least) : placeRows(columns, width);
}

function placeColumns(columns, width, least) {
  const gap = GAP_MIN + (width - least) / (columns.length - 1);
  const sized = columns.map((cards) => cards.map((card) => sizeCard(card, WIDTHS[card.duty])));
  const heightOf = (cards) => cards.reduce((sum, card) => sum + card.h + CARD.gap, -CARD.gap);
  const height = Math.max(...sized.map(heightOf));
  let x = 0;
  const placed = [];
  for (const cards of sized) {
    let y = (height - heightOf(cards)) / 2;
    for (const card of cards) {
      placed.push({ ...card, x, y });
      y += card.h + CARD.gap;
    }
    x += cards[0].w + gap;
  }
  return { cards: placed, width, height, isRows: false };
}

const ROW_GAP = 32;

function placeRows(columns, width) {
  const most = width >= 560 ? 3 : width >= 300 ? 2 : 1;
  const placed = [];
  let y = 0;
  for (const cards of columns) {
    const across = Math.min(most, cards.length);
    const room = (width - (across - 1) * CARD.gap) / across;
    const w = across === 1 ? Math.min(room, 320) : room;
    for (let i = 0; i < cards.length; i += across) {
      const line = cards.slice(i, i + across).map((card) => sizeCard(card, w));
      const left = (width - line.length * w - (line.length - 1) * CARD.gap) / 2;
      line.forEach((card, j) => placed.push({ ...card, x: left + j * (w + CARD.gap), y }));
      y += Math.max(...line.map(({ h }) => h)) + CARD.gap;
    }
    y += ROW_GAP - CARD.gap;
  }
  return { cards: placed, width, height: y - ROW_GAP, isRows: true };
}

// In rows all workers are one block: single ways would cross the cards between them.
function blockOf(cards) {
  const top = Math.min(...cards.map(({ y }) => y));
  const bottom = Math.max(...cards.map(({ y, h }) => y + h));
  const left = Math.min(...cards.map(({ x }) => x));
  const right = Math.max(...cards.map(({ x, w }) => x + w));
  return { x: left, y: top, w: right - left, h: bottom - top };
}

// The ways as curves: [{id, kind, count, path}]
export function drawWays({ cards, isRows }, ways) {
  const byId = new Map(cards.map((card) => [card.id, card]));
  if (!isRows) {
    return ways.map(({ from, to, ...way }) => {
      return { ...way, id: `${from}>${to}`, path: acrossPath(byId.get(from), byId.get(to)) };
    });
  }
  const order = ["plan", "scout", "worker", "lead", "answer"].filter((duty) =>
    cards.some((card) => card.duty === duty),
  );
  return order.slice(1).map((duty, i) => {
    const [from, to] = [order[i], duty].map((one) => cards.filter((card) => card.duty === one));
    const goesUp = duty === "lead" && order[i] === "worker";
    const count = ways.filter((way) => byId.get(way.to)?.duty === duty).length;
    const path = downPath(blockOf(from), blockOf(to));
    return { id: `${order[i]}>${duty}`, kind: goesUp ? "up" : "flow", count, path };
  });
}

function downPath(from, to) {
  const [x1, y1] = [from.x + from.w / 2, from.y + from.h];
  const [x2, y2] = [to.x + to.w / 2, to.y];
  return `M${x1} ${y1}L${x2} ${y2}`;
}

function acrossPath(from, to) {
  const [x1, y1] = [from.x + from.w, from.y + from.h / 2];
  const [x2, y2] = [to.x, to.y + to.h / 2];
  const lean = (x2 - x1) / 2;
  return `M${x1} ${y1}C${x1 + lean} ${y1} ${x2 - lean} ${y2} ${x2} ${y2}`;
}
