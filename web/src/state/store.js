// SPDX-License-Identifier: Apache-2.0
// store.js - a value that components can watch.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Component, h } from "preact";

export function createStore(value) {
  const watchers = new Set();
  return {
    get: () => value,
    set(next) {
      value = typeof next === "function" ? next(value) : next;
      for (const watch of [...watchers]) watch(value);
    },
    watch(fn) {
      watchers.add(fn);
      return () => watchers.delete(fn);
    },
  };
}

const whole = (value) => value;

// The picked part of a store; the component is rendered again when that part changes.
export function useStore(store, pick = whole) {
  const [, setTurn] = useState(0);
  const seen = useRef();
  const latest = useRef(pick);
  latest.current = pick;
  seen.current = pick(store.get());
  useLayoutEffect(() => {
    const check = () => {
      if (latest.current(store.get()) !== seen.current) setTurn((turn) => turn + 1);
    };
    check();
    return store.watch(check);
  }, [store]);
  return seen.current;
}

// A component that is rendered again only when a property is another.
export function memo(View) {
  return class extends Component {
    shouldComponentUpdate(next) {
      for (const key in next) if (next[key] !== this.props[key]) return true;
      for (const key in this.props) if (!(key in next)) return true;
      return false;
    }

    render(props) {
      return h(View, props);
    }
  };
}
