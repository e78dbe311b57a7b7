// SPDX-License-Identifier: Apache-2.0
// format.js - numbers for people.  Nothing here rounds a sum of money to nothing.

const THIN = "\u2009";

// Dollars with three significant digits below one, cents above: $0.00000109, $0.25, $12.40
export function money(usd) {
  if (usd === null || usd === undefined || Number.isNaN(usd)) return "–";
  if (usd === 0) return "$0";
  const size = Math.abs(usd);
  const sign = usd < 0 ? "−" : "";
  if (size >= 0.995) return `${sign}$${group(size.toFixed(2))}`;
  const decimals = Math.min(18, 2 - Math.floor(Math.log10(size)));
  return `${sign}$${size.toFixed(decimals)}`;
}

function group(digits) {
  const [whole, part] = digits.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return part === undefined ? grouped : `${grouped}.${part}`;
}

export function count(number) {
  if (number === null || number === undefined) return "–";
  return group(String(Math.round(number)));
}

// 950, 12.3k, 4.5M: for labels without room
export function short(number) {
  if (number === null || number === undefined) return "–";
  for (const [size, unit] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (number >= size * 0.9995) {
      const scaled = number / size;
      return scaled.toFixed(scaled < 99.95 ? 1 : 0).replace(/\.0$/, "") + unit;
    }
  }
  return String(Math.round(number));
}

export function percent(share, digits = 1) {
  if (share === null || share === undefined || Number.isNaN(share)) return "–";
  return `${(share * 100).toFixed(digits)}${THIN}%`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)}${THIN}ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)}${THIN}s`;
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours) return `${hours}${THIN}h ${minutes}${THIN}min`;
  return `${minutes}${THIN}min ${whole % 60}${THIN}s`;
}

export function bytes(size) {
  if (size < 1024) return `${size}${THIN}B`;
  const units = ["KB", "MB", "GB", "TB"];
  let scaled = size / 1024;
  let at = 0;
  while (scaled >= 1023.95 && at < units.length - 1) {
    scaled /= 1024;
    at++;
  }
  return `${scaled.toFixed(scaled < 9.95 ? 1 : 0)}${THIN}${units[at]}`;
}

// "just now", "5 min ago", "yesterday"..., else the date
export function ago(thenMs, nowMs) {
  const minutes = Math.floor((nowMs - thenMs) / 60000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return new Date(thenMs).toISOString().slice(0, 10);
}

export function plural(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}
