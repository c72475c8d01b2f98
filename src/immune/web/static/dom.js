// Building the page. Every string becomes a text node, never markup: agents choose their own names.

/**
 * Make an element. Props: `class`, `on` (event -> listener), anything else an attribute; true sets
 * it empty, false, null and undefined leave it out.
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...(Node | string | number | null | undefined | false)} children
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) {
        element.addEventListener(event, listener);
      }
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/**
 * The element of the page with this id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function place(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}

/** @type {WeakMap<Node, string>} */
const shown = new WeakMap();

/**
 * Show `items` in `container`, in their order. An element whose item has not changed stays as it
 * is, with what somebody is typing into it.
 * @template T
 * @param {Element} container
 * @param {T[]} items
 * @param {(item: T) => string} key
 * @param {(item: T) => unknown} signature what the element depends on
 * @param {(item: T) => HTMLElement} render
 */
export function list(container, items, key, signature, render) {
  const known = new Map();
  for (const child of container.children) {
    if (child instanceof HTMLElement && child.dataset.key) known.set(child.dataset.key, child);
  }
  let cursor = container.firstElementChild;
  for (const item of items) {
    const id = key(item);
    const now = JSON.stringify(signature(item));
    let element = known.get(id);
    known.delete(id);
    if (element === undefined || shown.get(element) !== now) {
      const made = render(item);
      made.dataset.key = id;
      shown.set(made, now);
      if (element !== undefined) {
        if (cursor === element) cursor = made;
        const focused = element.contains(document.activeElement);
        const opened = [...element.querySelectorAll("details")].map((details) => details.open);
        element.replaceWith(made);
        if (focused) made.querySelector("button")?.focus();
        made.querySelectorAll("details").forEach((details, nth) => {
          details.open = opened[nth] ?? false;
        });
      }
      element = made;
    }
    if (cursor === element) {
      cursor = element.nextElementSibling;
    } else {
      container.insertBefore(element, cursor);
    }
  }
  for (const gone of known.values()) gone.remove();
}
