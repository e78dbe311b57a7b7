// SPDX-License-Identifier: Apache-2.0
// api.js - the server's endpoints (docs/api.md).

import { readEvents } from "../lib/sse.js";
import { createStore } from "./store.js";
import { serverKey } from "./settings.js";

// Set when the server wants a key and has not got a good one.
export const keyWanted = createStore(false);

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

function headers() {
  const key = serverKey.get();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function fail(response) {
  if (response.status === 401) keyWanted.set(true);
  const body = await response.text().catch(() => "");
  let message = "";
  try {
    message = JSON.parse(body).error.message;
  } catch {
    message = body.slice(0, 200);
  }
  throw new ApiError(message || `The server answered ${response.status}.`, response.status);
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached. Is enxame serve running?", 0);
  }
  if (!response.ok) await fail(response);
  return response;
}

async function getJson(path) {
  return (await request(path)).json();
}

async function sendJson(path, body, options = {}) {
  return request(path, {
    method: "POST",
    body: JSON.stringify(body),
    ...options,
    headers: { "Content-Type": "application/json" },
  });
}

export const getInfo = () => getJson("/enxame/v1/info");
export const getWorkers = () => getJson("/enxame/v1/workers");
export const getLaw = async () => (await request("/enxame/v1/law")).blob();
export const listJobs = (limit = 100) => getJson(`/enxame/v1/jobs?limit=${limit}`);
export const getJob = (id) => getJson(`/enxame/v1/jobs/${id}`);
export const cancelJob = (id) => request(`/enxame/v1/jobs/${id}`, { method: "DELETE" });
export const openJob = async (body) => (await sendJson("/enxame/v1/jobs", body)).json();
export const approveJob = (id, budget) =>
  sendJson(`/enxame/v1/jobs/${id}/approve`, budget ? { budget } : {});

// Records of a job, from `seq` on, until its end or until the signal; true: the job has ended.
export async function followJob(id, seq, onEvent, signal) {
  const response = await request(`/enxame/v1/jobs/${id}/events?from=${seq}`, { signal });
  let hasEnded = false;
  await readEvents(response, ({ event, data }) => {
    if (event === "end") hasEnded = true;
    onEvent(event, JSON.parse(data));
  });
  return hasEnded;
}

// Chunks of a chat completion, as they come.
export async function streamChat(body, onChunk, signal) {
  const options = { stream: true, stream_options: { include_usage: true } };
  const response = await sendJson("/v1/chat/completions", { ...body, ...options }, { signal });
  let error = null;
  await readEvents(response, ({ data }) => {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) error = new ApiError(chunk.error.message, 200);
    else onChunk(chunk);
  });
  if (error) throw error;
}
