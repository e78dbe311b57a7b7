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

function scoutOf(job, duties) {
  const named = Object.keys(duties).find((name) => duties[name] === "scout");
  return named ?? [...job.models.values()].find((m) => m.roles.scout)?.name ?? "scout";
}

// Where a task stands: its lead once it went up, its worker once it was routed, the scout before.
function placeOf(task, lead, scout, isSingle) {
  if (isSingle || (task.escalated && task.model !== task.worker)) return lead;
  return task.worker || task.model || scout;
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

function waysOf(job, workers, byPlace) {
  const ways = [];
  const add = (from, to, count, kind = "flow") => count && ways.push({ from, to, count, kind });
  const all = job.tasks.filter(Boolean);
  if (job.single) {
    add("plan", "lead", all.length);
    add("lead", "answer", all.filter((t) => t.state === "accepted").length);
    return ways;
  }
  add("plan", "scout", all.length);
  let direct = 0;
  for (const { id, models } of workers) {
    const mine = all.filter((t) => t.worker === models[0]);
    const up = mine.filter((t) => t.escalated);
    add("scout", id, mine.length);
    add(id, "lead", up.length, "up");
    add(id, "answer", mine.filter((t) => t.state === "accepted" && t.model === t.worker).length);
    direct += up.length;
  }
  add("scout", "lead", job.escalated - direct, "up");
  const scouted = byPlace.filter((t) => t.state !== "open" && t.state !== "routed").length;
  add("scout", "answer", scouted);
  add(
    "lead",
    "answer",
    all.filter((t) => t.escalated && t.state === "accepted" && t.model !== t.worker).length,
    "up",
  );
  return ways;
}

// duties: {model name: "lead" | "scout" | "worker"}, as far as known
export function mapSwarm(job, duties = {}) {
  const lead = leadOf(job, duties);
  const scout = scoutOf(job, duties);
  const groups = groupTasks(job, lead, scout);
  const known = Object.keys(duties).filter((name) => duties[name] === "worker");
  const names = [...new Set([...known, ...groups.keys()])].filter((n) => n !== lead && n !== scout);
  const active = names.filter((name) => groups.has(name) || job.models.has(name));
  const idle = names.length - active.length;
  const workers = active
    .map((name) => station(`w:${name}`, name, "worker", [name], groups.get(name) ?? []))
    .sort((a, b) => (a.title < b.title ? -1 : 1));
  const scoutTasks = groups.get(scout) ?? [];
  const stations = [
    station("plan", "Plan", "plan", [], []),
    ...(job.single ? [] : [station("scout", scout, "scout", [scout], scoutTasks)]),
    ...workers,
    station("lead", lead, "lead", [lead], groups.get(lead) ?? []),
    station("answer", "Answer", "answer", [], []),
  ];
  for (const s of stations) Object.assign(s, figuresOf(job, s.models));
  return { stations, ways: waysOf(job, workers, scoutTasks), idle };
}

// ---- Where stations are drawn -----------------------------------------------------------------

export const CARD = { width: 196, head: 58, pad: 10, gap: 14 };
const COLUMN_GAP = 64;
const CELLS_HEIGHT_MAX = 96;

// The side of a cell so that `count` of them fill a field of that width, at most so high; and how
// many tasks one cell stands for when they would be too small to see.
export function fitCells(count, width, heightMax = CELLS_HEIGHT_MAX) {
  for (let size = 18; size >= 4; size--) {
    const columns = Math.floor(width / size);
    const rows = Math.ceil(count / columns);
    if (rows * size <= heightMax) return { size, columns, rows: Math.max(rows, 1), each: 1 };
  }
  const columns = Math.floor(width / 4);
  const rowsMax = Math.floor(heightMax / 4);
  const each = Math.ceil(count / (columns * rowsMax));
  return { size: 4, columns, rows: Math.ceil(count / each / columns), each };
}

function heightOf(s) {
  if (s.duty === "plan" || s.duty === "answer") return s.duty === "plan" ? 132 : 118;
  const { size, rows } = fitCells(s.tasks.length || 1, CARD.width - 2 * CARD.pad);
  return CARD.head + (s.tasks.length ? rows * size + CARD.pad : 0);
}

// Columns from left to right, or rows from top to bottom when the place is narrow.
export function placeStations(map, width) {
  const column = { plan: 0, scout: 1, worker: 2, lead: 3, answer: 4 };
  const columns = [[], [], [], [], []];
  for (const s of map.stations) columns[column[s.duty]].push({ ...s, h: heightOf(s) });
  const used = columns.filter((row) => row.length);
  return width >= 5 * 150 ? placeColumns(used, width) : placeRows(used, width);
}

function placeColumns(columns, width) {
  const room = (width - (columns.length - 1) * COLUMN_GAP) / columns.length;
  const w = Math.min(CARD.width, Math.max(room, 130));
  const step = columns.length > 1 ? (width - w) / (columns.length - 1) : 0;
  const heightOfColumn = (cards) => cards.reduce((sum, c) => sum + c.h + CARD.gap, -CARD.gap);
  const height = Math.max(...columns.map(heightOfColumn));
  const placed = columns.flatMap((cards, i) => {
    let y = (height - heightOfColumn(cards)) / 2;
    return cards.map((card) => {
      const at = { ...card, x: i * step, y, w };
      y += card.h + CARD.gap;
      return at;
    });
  });
  return { cards: placed, width, height, isRows: false };
}

function placeRows(rows, width) {
  const perRow = width >= 2 * 150 + CARD.gap ? 2 : 1;
  let y = 0;
  const placed = [];
  for (const cards of rows) {
    const across = Math.min(perRow, cards.length);
    const w = Math.min((width - (across - 1) * CARD.gap) / across, across === 1 ? width : 260);
    for (let i = 0; i < cards.length; i += across) {
      const line = cards.slice(i, i + across);
      line.forEach((card, j) => placed.push({ ...card, x: j * (w + CARD.gap), y, w }));
      y += Math.max(...line.map(({ h }) => h)) + CARD.gap;
    }
    y += 22;
  }
  return { cards: placed, width, height: y - 22 - CARD.gap, isRows: true };
}

export function wayPath(from, to, isRows) {
  if (isRows) {
    const [x1, y1] = [from.x + from.w / 2, from.y + from.h];
    const [x2, y2] = [to.x + to.w / 2, to.y];
    const lean = Math.max(12, (y2 - y1) / 2);
    return `M${x1} ${y1}C${x1} ${y1 + lean} ${x2} ${y2 - lean} ${x2} ${y2}`;
  }
  const [x1, y1] = [from.x + from.w, from.y + from.h / 2];
  const [x2, y2] = [to.x, to.y + to.h / 2];
  const lean = (x2 - x1) / 2;
  return `M${x1} ${y1}C${x1 + lean} ${y1} ${x2 - lean} ${y2} ${x2} ${y2}`;
}
